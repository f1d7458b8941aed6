"""Tables by month: rows of any time are written, months are made, dropped and archived, and what is
wrong is told.
"""

import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.core.management import call_command
from django.db import DatabaseError, OperationalError, connection, transaction
from django.utils import timezone

from dispatch import forgetting
from dispatch.models import DispatchDecision, DispatchRun
from dispatch.occurrences import verbs
from dispatch.tests.test_occurrences import AMA, closed, written
from orders.models import DeliveryEvent, Order
from orders.states import Status
from orders.tests.factories import OrderFactory, order_in
from tracking.models import WebhookDelivery
from tracking.tests.receiver import WebhookFactory
from wingxtra import actors
from wingxtra.console.attention import machinery
from wingxtra.console.look import Look
from wingxtra.database import partitions
from wingxtra.database.partitions import History, month_of, months_after

pytestmark = pytest.mark.django_db

DECISIONS, WEBHOOKS, EVENTS = (
    next(one for one in partitions.histories if one.model is model)
    for model in (DispatchDecision, WebhookDelivery, DeliveryEvent)
)


@pytest.fixture
def make_months() -> Callable[[History, int], list[datetime]]:
    """The months before this one, oldest first."""

    def make(history: History, count: int) -> list[datetime]:
        made = [months_after(month_of(timezone.now()), -back) for back in range(count, 0, -1)]
        for month in made:
            partitions.make(history, month)
        return made

    return make


def settled() -> None:
    """Check deferred constraints now: the tables of a test cannot change while some wait."""
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")


def decided(order: Order, at: datetime, run: DispatchRun | None = None) -> DispatchDecision:
    run = run or DispatchRun.objects.create(
        trigger="SCHEDULE", actor="dispatcher", policy_version=1, started_at=at
    )
    return DispatchDecision.objects.create(
        run=run, order=order, outcome="UNASSIGNED", decided_at=at
    )


def sent(order: Order, at: datetime) -> WebhookDelivery:
    endpoint = WebhookFactory(merchant=order.merchant)
    return WebhookDelivery.objects.create(
        endpoint=endpoint, order=order, type="order.queued", body="{}", created_at=at
    )


def happened(order: Order, at: datetime) -> DeliveryEvent:
    return DeliveryEvent.objects.create(
        order=order, type="QUEUED", status="QUEUED", message="", occurred_at=at, created_at=at
    )


def table_of(row: Any) -> str:
    """The name of the partition that has the row."""
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT tableoid::regclass::text FROM {row._meta.db_table} WHERE id = %s", [row.pk]
        )
        return str(cursor.fetchone()[0])


def of(history: History) -> partitions.Standing:
    return next(one for one in partitions.standing(timezone.now()) if one.table == history.table)


# --- months to come ------------------------------------------------------------------------------


def test_migrate_has_made_this_month_and_the_next_of_each_history() -> None:
    now = timezone.now()
    this, following = month_of(now), months_after(month_of(now), 1)
    for found in partitions.standing(now):
        assert [(one.start, one.end) for one in found.months] == [
            (this, following),
            (following, months_after(following, 1)),
        ]
        assert not found.is_troubled
    assert len(partitions.standing(now)) == len(partitions.histories) == 3


def test_a_row_is_in_the_table_of_its_month() -> None:
    order, now = OrderFactory(), timezone.now()
    for row in (decided(order, now), sent(order, now), happened(order, now)):
        assert table_of(row) == f"{row._meta.db_table}_{now.astimezone(UTC):%Y_%m}"


def test_a_row_whose_month_is_missing_is_written_and_told_and_moves_when_its_month_is_made() -> (
    None
):
    order = OrderFactory()
    later = months_after(month_of(timezone.now()), 3)
    row = happened(order, later)
    assert table_of(row) == "orders_deliveryevent_default"
    (item,) = machinery.histories(Look(timezone.now()))
    assert item.key == "history:orders_deliveryevent"
    assert f"{later:%Y-%m-%d}" in item.detail
    settled()
    partitions.prepare(later)
    assert table_of(row) == f"orders_deliveryevent_{later:%Y_%m}"
    assert list(DeliveryEvent.objects.filter(pk=row.pk)) == [row]
    assert not of(EVENTS).is_troubled
    assert list(machinery.histories(Look(timezone.now()))) == []


def test_a_missing_month_is_told_before_it_begins() -> None:
    following = months_after(month_of(timezone.now()), 1)
    assert {one.missing for one in partitions.standing(following)} == {months_after(following, 1)}
    (item,) = [i for i in machinery.histories(Look(following)) if i.key.endswith("webhookdelivery")]
    assert f"{months_after(following, 1):%B %Y}" in item.detail
    partitions.prepare(following)
    assert list(machinery.histories(Look(following))) == []


@pytest.mark.parametrize(
    "statement", ["UPDATE {} SET message = ''", "DELETE FROM {}", "TRUNCATE {}"]
)
def test_events_of_a_new_month_are_append_only_too(statement: str) -> None:
    later = months_after(month_of(timezone.now()), 3)
    happened(OrderFactory(), later)
    settled()
    partitions.prepare(later)
    for table in (f"orders_deliveryevent_{later:%Y_%m}", "orders_deliveryevent"):
        with (
            pytest.raises(DatabaseError, match="append-only"),
            transaction.atomic(),
            connection.cursor() as cursor,
        ):
            cursor.execute(statement.format(table))


def test_preparing_again_does_nothing(django_assert_num_queries: Any) -> None:
    with django_assert_num_queries(2 * len(partitions.histories)):
        partitions.prepare(timezone.now())


def test_rows_of_a_past_month_that_was_never_made_move_to_it() -> None:
    first, missing = (months_after(month_of(timezone.now()), -back) for back in (3, 2))
    partitions.make(EVENTS, first)
    order, between = OrderFactory(), missing + timedelta(days=12)
    row, held = happened(order, between), happened(order, first - timedelta(days=40))
    assert of(EVENTS).stray == between
    settled()
    partitions.prepare(timezone.now())
    assert table_of(row) == f"orders_deliveryevent_{missing:%Y_%m}"
    assert table_of(held) == "orders_deliveryevent_default", "before the first month: held"
    assert not of(EVENTS).is_troubled
    assert [one.start for one in of(EVENTS).months[:2]] == [first, missing]


# --- old months ----------------------------------------------------------------------------------


def test_a_month_is_dropped_once_its_last_row_is_past_its_retention(make_months, settings) -> None:
    settings.WEBHOOK_DELIVERIES_KEPT_DAYS = 30
    first, second = make_months(WEBHOOKS, 2)
    order = OrderFactory()
    old, younger = sent(order, first + timedelta(days=5)), sent(order, second + timedelta(days=5))
    settled()
    partitions.drop_old(second + timedelta(days=29, hours=23))
    assert WebhookDelivery.objects.count() == 2
    partitions.drop_old(second + timedelta(days=31))
    assert list(WebhookDelivery.objects.all()) == [younger]
    assert of(WEBHOOKS).months[0].start == second
    with connection.cursor() as cursor:
        cursor.execute("SELECT to_regclass(%s)", [f"tracking_webhookdelivery_{first:%Y_%m}"])
        assert cursor.fetchone() == (None,)
    assert old.order == order


def test_decisions_of_a_held_order_and_their_run_stay_until_it_is_released(make_months) -> None:
    (month,) = make_months(DECISIONS, 5)[:1]
    order, other = order_in(Status.DELIVERED), OrderFactory()
    held = decided(order, month)
    together = decided(other, month, run=held.run)
    decided(other, month)
    occurrence = written(order)
    settled()
    now = months_after(month, 4) + timedelta(days=5)
    partitions.drop_old(now)
    assert set(DispatchDecision.objects.all()) == {held, together}
    assert table_of(held) == "dispatch_dispatchdecision_default"
    assert not of(DECISIONS).is_troubled, "rows of a month that is gone are no trouble"
    forgetting.forget_runs(now)
    assert DispatchRun.objects.get() == held.run
    verbs.release(closed(occurrence).pk, "Over.", by=AMA)
    partitions.drop_old(now)
    assert not DispatchDecision.objects.exists()


def test_events_are_kept_for_ever(make_months) -> None:
    month, *_ = make_months(EVENTS, 24)
    row = happened(OrderFactory(), month)
    settled()
    partitions.drop_old(timezone.now() + timedelta(days=3650))
    assert table_of(row) == f"orders_deliveryevent_{month:%Y_%m}"


def test_a_person_archives_the_oldest_month_of_events(make_months) -> None:
    month, *_ = make_months(EVENTS, 14)
    order, held = OrderFactory(), order_in(Status.DELIVERED)
    for row in (order, held):
        Order.objects.filter(pk=row.pk).update(created_at=month)
        happened(row, month)
    written(held)
    settled()
    archived = partitions.archive(EVENTS, timezone.now())
    assert archived is not None
    assert archived.start == month
    assert DeliveryEvent.objects.get(created_at=month).order == held
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT count(*) FROM {archived.name}")
        assert cursor.fetchone() == (2,)
        cursor.execute("SELECT conrelid::regclass::text FROM pg_constraint WHERE contype = 'f'")
        assert (archived.name,) not in cursor.fetchall(), "orders do not depend on it"
    assert partitions.archive(EVENTS, timezone.now()).start == months_after(month, 1)
    assert partitions.archive(EVENTS, timezone.now()) is None, "younger than a year"


# --- beside others -------------------------------------------------------------------------------


@pytest.fixture
def busy() -> Iterator[Callable[[History], AbstractContextManager[None]]]:
    """A long transaction that reads a history."""

    @contextmanager
    def reading(history: History) -> Iterator[None]:
        started, done = threading.Event(), threading.Event()

        def read() -> None:
            with transaction.atomic():
                list(history.model.objects.all())
                started.set()
                done.wait(20)
            connection.close()

        reader = threading.Thread(target=read)
        reader.start()
        try:
            assert started.wait(20)
            yield
        finally:
            done.set()
            reader.join()

    return reading


@pytest.fixture
def _as_before(transactional_db: None) -> Iterator[None]:
    """`migrate` makes the months again, and those of events can be truncated after the test."""
    yield
    call_command("migrate", verbosity=0)


def drop_month(history: History, month: datetime) -> None:
    with connection.cursor() as cursor:
        cursor.execute(f"DROP TABLE {history.table}_{month:%Y_%m}")


@pytest.mark.django_db(transaction=True)
def test_a_busy_table_is_left_alone_and_nothing_is_lost(monkeypatch, settings, busy) -> None:
    monkeypatch.setattr(partitions, "LOCK_TIMEOUT_MS", 100)
    settings.WEBHOOK_DELIVERIES_KEPT_DAYS = 1
    month = months_after(month_of(timezone.now()), -2)
    partitions.make(WEBHOOKS, month)
    sent(OrderFactory(), month)
    with busy(WEBHOOKS):
        with pytest.raises(OperationalError, match="lock timeout"):
            actors.keep_histories.fn()
        assert WebhookDelivery.objects.count() == 1
    actors.keep_histories.fn()
    assert not WebhookDelivery.objects.exists()


@pytest.mark.usefixtures("_as_before")
def test_beside_a_busy_table_the_others_have_their_turn(monkeypatch, settings, busy) -> None:
    monkeypatch.setattr(partitions, "LOCK_TIMEOUT_MS", 100)
    settings.WEBHOOK_DELIVERIES_KEPT_DAYS = 1
    this = month_of(timezone.now())
    partitions.make(WEBHOOKS, months_after(this, -2))
    assert partitions.histories.index(EVENTS) < partitions.histories.index(WEBHOOKS)
    for history in (EVENTS, WEBHOOKS):
        drop_month(history, months_after(this, 1))
    with busy(EVENTS):
        with pytest.raises(OperationalError, match="lock timeout"):
            actors.keep_histories.fn()
        assert of(EVENTS).missing == months_after(this, 1)
        assert [one.start for one in of(WEBHOOKS).months] == [this, months_after(this, 1)]
    actors.keep_histories.fn()
    assert not of(EVENTS).is_troubled


@pytest.mark.usefixtures("_as_before")
def test_migrate_leaves_a_busy_table_to_the_worker_but_not_one_without_a_month(
    monkeypatch, busy, caplog
) -> None:
    monkeypatch.setattr(partitions, "LOCK_TIMEOUT_MS", 100)
    this = month_of(timezone.now())
    drop_month(EVENTS, months_after(this, 1))
    with busy(EVENTS):
        call_command("migrate", verbosity=0)
        assert of(EVENTS).missing == months_after(this, 1)
        assert "history_busy" in caplog.text
    drop_month(EVENTS, this)
    with busy(EVENTS), pytest.raises(OperationalError, match="lock timeout"):
        call_command("migrate", verbosity=0)
    actors.keep_histories.fn()
    assert not of(EVENTS).is_troubled
