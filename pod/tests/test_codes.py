"""The one-time code: shown once, stored as a keyed hash, at most five tries."""

import re
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from django.db import connection
from pytest_django import DjangoAssertNumQueries, Settings

from orders import unit_of_work
from orders.models import DeliveryEvent, Order
from orders.states import EventType, PodRequirement, Status
from orders.tests.factories import OrderFactory, order_in
from pod import codes, proofs
from pod.models import OneTimeCode, ProofOfDelivery
from wingxtra.accounts.identity import CUSTOMER, SYSTEM
from wingxtra.problems import Conflict, Invalid

pytestmark = pytest.mark.django_db


def at_the_door(status: Status = Status.ARRIVED) -> tuple[Order, str]:
    """An order that needs a code, and the code."""
    order = order_in(status, pod_requirement=PodRequirement.OTP)
    return order, codes.renew(order.pk, by=SYSTEM)


def wrong(code: str) -> str:
    return f"{(int(code) + 1) % 1_000_000:06d}"


def current(order: Order) -> Order:
    return Order.objects.get(pk=order.pk)


def test_the_code_of_a_new_order_is_shown_once() -> None:
    order = OrderFactory(pod_requirement=PodRequirement.OTP)

    assert order.otp_code is not None
    assert re.fullmatch("[0-9]{6}", order.otp_code)
    assert current(order).otp_code is None


@pytest.mark.parametrize("requirement", sorted(set(PodRequirement) - {PodRequirement.OTP}))
def test_an_order_with_another_requirement_has_no_code(requirement: PodRequirement) -> None:
    order = OrderFactory(pod_requirement=requirement)

    assert order.otp_code is None
    assert not OneTimeCode.objects.exists()


def test_only_a_keyed_hash_of_the_code_and_its_order_is_stored(
    settings: Settings,
) -> None:
    first, second = (OrderFactory(pod_requirement=PodRequirement.OTP) for _ in range(2))
    assert first.otp_code is not None
    with connection.cursor() as cursor:
        for table in connection.introspection.table_names():
            cursor.execute(f'SELECT count(*) FROM "{table}" t WHERE t::text ~ %s', [first.otp_code])
            assert cursor.fetchone() == (0,), table

    digest = codes.digest_of(first.pk, first.otp_code)
    assert digest == OneTimeCode.objects.get(pk=first.pk).digest
    assert digest != codes.digest_of(second.pk, first.otp_code)
    settings.SECRET_KEY = "another key"
    assert digest != codes.digest_of(first.pk, first.otp_code)


def test_the_right_code_at_the_door_completes_the_delivery() -> None:
    order, code = at_the_door()

    recorded = proofs.record(order.pk, proofs.Evidence.code(code), by=CUSTOMER)

    assert recorded.is_new
    assert (recorded.proof.method, recorded.proof.recorded_by) == ("OTP", "customer")
    assert current(order).status == Status.DELIVERED
    assert not current(order).proof_missing


def test_a_code_takes_one_lock_one_update_and_sixteen_statements(
    django_assert_max_num_queries: DjangoAssertNumQueries,
) -> None:
    order, code = at_the_door()

    with django_assert_max_num_queries(16) as taken:
        proofs.record(order.pk, proofs.Evidence.code(code), by=CUSTOMER)

    statements = [query["sql"] for query in taken.captured_queries]
    # The drone's counters are locked only if that needs no waiting.
    waited_for = [sql for sql in statements if "FOR NO KEY UPDATE" in sql and "SKIP" not in sql]
    assert len(waited_for) == 1
    assert sum('UPDATE "orders_order"' in sql for sql in statements) == 1


@pytest.mark.parametrize("typed", ["{} {}", " {}-{} ", "{}\t{}"])
def test_blanks_and_hyphens_between_the_digits_do_not_matter(typed: str) -> None:
    order, code = at_the_door()

    given = proofs.Evidence.code(typed.format(code[:3], code[3:]))
    assert proofs.record(order.pk, given, by=CUSTOMER).is_new


@pytest.mark.parametrize("typed", ["", "12345", "1234567", "12345a", "١٢٣٤٥٦", "123456\0"])
def test_input_that_is_not_six_digits_is_not_a_try(typed: str) -> None:
    order, _ = at_the_door()

    with pytest.raises(Invalid, match="6 digits"):
        proofs.record(order.pk, proofs.Evidence.code(typed), by=CUSTOMER)

    assert OneTimeCode.objects.get(pk=order.pk).tries == 0


def test_a_wrong_code_is_counted_and_says_how_many_tries_are_left() -> None:
    order, code = at_the_door()

    with pytest.raises(codes.WrongCode, match="4 tries are left") as refused:
        proofs.record(order.pk, proofs.Evidence.code(wrong(code)), by=CUSTOMER)

    assert refused.value.extra == {"tries_left": 4}
    assert OneTimeCode.objects.get(pk=order.pk).tries == 1
    event = DeliveryEvent.objects.filter(order=order).last()
    assert event is not None
    assert (event.type, event.actor, event.payload["tries_left"]) == (
        EventType.CODE_REFUSED,
        "customer",
        4,
    )
    assert code not in event.message
    assert current(order).status == Status.ARRIVED


def locked_out() -> tuple[Order, str]:
    order, code = at_the_door()
    for _ in range(OneTimeCode.MAX_TRIES):
        with pytest.raises(codes.WrongCode):
            proofs.record(order.pk, proofs.Evidence.code(wrong(code)), by=CUSTOMER)
    return order, code


def test_after_five_wrong_codes_even_the_right_one_is_refused() -> None:
    order, code = locked_out()

    with pytest.raises(Conflict, match="locked") as refused:
        proofs.record(order.pk, proofs.Evidence.code(code), by=CUSTOMER)

    assert (refused.value.code, refused.value.extra["current_status"]) == ("code_locked", "ARRIVED")


def test_ops_can_unlock_the_same_code() -> None:
    order, code = locked_out()

    codes.unlock(order.pk, by=SYSTEM)

    assert proofs.record(order.pk, proofs.Evidence.code(code), by=CUSTOMER).is_new


def test_unlocking_without_wrong_tries_changes_nothing() -> None:
    order, _ = at_the_door()
    events = DeliveryEvent.objects.filter(order=order).count()

    codes.unlock(order.pk, by=SYSTEM)

    assert DeliveryEvent.objects.filter(order=order).count() == events


def test_a_new_code_replaces_the_old_one_and_its_tries() -> None:
    order, old = locked_out()

    new = codes.renew(order.pk, by=SYSTEM)

    if old != new:
        with pytest.raises(codes.WrongCode, match="4 tries"):
            proofs.record(order.pk, proofs.Evidence.code(old), by=CUSTOMER)
    assert proofs.record(order.pk, proofs.Evidence.code(new), by=CUSTOMER).is_new


def test_an_order_without_a_code_is_a_conflict() -> None:
    order = order_in(Status.ARRIVED)
    attempts: list[Callable[[], Any]] = [
        lambda: proofs.record(order.pk, proofs.Evidence.code("123456"), by=CUSTOMER),
        lambda: codes.unlock(order.pk, by=SYSTEM),
        lambda: codes.renew(order.pk, by=SYSTEM),
    ]
    for attempt in attempts:
        with pytest.raises(Conflict) as refused:
            attempt()
        assert refused.value.code == "no_code"


@pytest.mark.parametrize("status", [Status.QUEUED, Status.ASSIGNED, Status.ENROUTE, Status.FAILED])
def test_before_the_drone_is_there_a_code_is_neither_checked_nor_counted(status: Status) -> None:
    order, code = at_the_door(status)

    for attempt in (code, wrong(code)):
        with pytest.raises(Conflict) as refused:
            proofs.record(order.pk, proofs.Evidence.code(attempt), by=CUSTOMER)
        assert refused.value.code == "not_at_the_drop_point"
        assert refused.value.extra["current_status"] == status

    assert OneTimeCode.objects.get(pk=order.pk).tries == 0


def test_placing_an_order_with_a_code_takes_one_more_statement(
    django_assert_num_queries: DjangoAssertNumQueries,
) -> None:
    order = order_in(Status.ARRIVED, pod_requirement=PodRequirement.OTP)
    event = DeliveryEvent.objects.filter(order=order, type=EventType.CREATED).get()
    OneTimeCode.objects.all().delete()

    with django_assert_num_queries(1):
        event.order = order
        codes.issue_codes(events=[event])


# --- races ---------------------------------------------------------------------------------------

THREADS = 10


def try_at_once(order: Order, code: str) -> list[str]:
    """Enter the same code from ten threads; returns the result of each."""

    def attempt(_: int) -> str:
        try:
            return str(proofs.record(order.pk, proofs.Evidence.code(code), by=CUSTOMER).is_new)
        except Conflict as refused:
            return refused.code
        except codes.WrongCode as refused:
            return refused.code
        finally:
            connection.close()

    with ThreadPoolExecutor(THREADS) as pool:
        return list(pool.map(attempt, range(THREADS)))


@pytest.fixture
def compared(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The codes that were compared. Each comparison is slowed down to provoke the race."""
    checked: list[str] = []
    is_right = codes.is_right

    def slowly(row: OneTimeCode, digits: str) -> bool:
        checked.append(digits)
        time.sleep(0.05)
        return is_right(row, digits)

    monkeypatch.setattr(codes, "is_right", slowly)
    return checked


@pytest.mark.django_db(transaction=True)
def test_concurrent_tries_never_exceed_five(compared: list[str]) -> None:
    order, code = at_the_door()

    results = try_at_once(order, wrong(code))

    assert len(compared) == OneTimeCode.MAX_TRIES
    assert sorted(results) == ["code_locked"] * 5 + ["wrong_code"] * 5
    assert OneTimeCode.objects.get(pk=order.pk).is_locked


@pytest.mark.django_db(transaction=True)
def test_control_without_the_row_lock_more_than_five_codes_are_compared(
    compared: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    order, code = at_the_door()
    orders = Order.objects.select_related("current_job")
    monkeypatch.setattr(unit_of_work, "lock", lambda pk: unit_of_work.Locked(orders.get(pk=pk)))

    try_at_once(order, wrong(code))

    assert len(compared) > OneTimeCode.MAX_TRIES


@pytest.mark.django_db(transaction=True)
def test_concurrent_right_codes_make_one_proof_and_all_succeed() -> None:
    order, code = at_the_door()

    results = try_at_once(order, code)

    assert sorted(results) == ["False"] * (THREADS - 1) + ["True"]
    assert ProofOfDelivery.objects.filter(order=order).count() == 1
    assert DeliveryEvent.objects.filter(order=order, type=EventType.PROOF_RECORDED).count() == 1
