"""What customers are told: each thing once, where they can be reached, and nothing out of date."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection, transaction
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries, Settings

from dispatch.missions import discrepancies
from dispatch.models import Discrepancy, Flight
from fleet import policy
from fleet.tests.factories import DroneFactory
from orders import lifecycle
from orders.models import Order
from orders.states import CancelReason, JobStatus, PodRequirement, Scenario, Status
from orders.tests.factories import OrderFactory, order_in
from pod import codes, proofs
from tracking.messages import texts as messages
from tracking.messages.models import CodeToTell, CustomerMessage
from tracking.tests.deliveries import expect_in
from tracking.tests.mailbox import send_all, texts, told
from tracking.tests.receiver import Receiver
from wingxtra.accounts.identity import CUSTOMER, DISPATCHER, GCS, SYSTEM
from wingxtra.accounts.tests.factories import MerchantFactory

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("gateways")]

Kind, State = CustomerMessage.Kind, CustomerMessage.State
EMAIL = "ama@mail.example"
ON_THE_WAY = [Kind.RECEIVED, Kind.LAUNCHED, Kind.ARRIVING]


def delivered_order(**attributes: Any) -> Order:
    """Flown step by step, as real ones are, with what is due sent after each."""
    order = OrderFactory(**attributes)
    send_all()
    lifecycle.assign(order.pk, DroneFactory().pk, by=DISPATCHER, why="The only one.")
    for status in (Status.LAUNCHED, Status.ENROUTE, Status.ARRIVED, Status.DELIVERED):
        lifecycle.advance(order.pk, status, by=GCS)
        send_all()
    return order


# --- what is said, and when ----------------------------------------------------------------------


def test_a_customer_hears_of_each_step_once(sms: Receiver):
    order = delivered_order(merchant=MerchantFactory(name="Ridge Pharmacy"))
    assert told(order) == [*ON_THE_WAY, Kind.DELIVERED]
    said = texts(sms)
    assert len(said) == 4
    assert all(text.startswith("Ridge Pharmacy: ") for text in said)
    link = f"https://delivery.example/track/{order.public_tracking_id}/"
    assert [link in text for text in said] == [True, True, True, False]
    assert send_all() == 0
    assert len(sms.received) == 4


def test_each_channel_gets_what_it_has_an_address_for(sms: Receiver):
    both = OrderFactory(customer_email=EMAIL)
    phone_only = OrderFactory()
    email_only = OrderFactory(customer_phone="", customer_email=EMAIL)
    nothing = OrderFactory(customer_phone="")
    for order, channels in [
        (both, {"sms", "email"}),
        (phone_only, {"sms"}),
        (email_only, {"email"}),
        (nothing, set()),
    ]:
        rows = CustomerMessage.objects.filter(order=order)
        assert set(rows.values_list("channel", flat=True)) == channels


def test_the_code_comes_with_the_launch_and_works(sms: Receiver):
    order = OrderFactory(pod_requirement=PodRequirement.OTP)
    code = order.otp_code
    assert code
    send_all()
    assert code not in texts(sms)[0]
    lifecycle.assign(order.pk, DroneFactory().pk, by=DISPATCHER, why="The only one.")
    lifecycle.advance(order.pk, Status.LAUNCHED, by=GCS)
    send_all()
    assert code in texts(sms)[1]
    lifecycle.advance(order.pk, Status.ARRIVED, by=GCS)
    proofs.record(order.pk, proofs.Evidence.code(code), by=CUSTOMER)
    # It has done its work.
    assert not CodeToTell.objects.exists()


def test_no_code_can_be_read_in_the_database(sms: Receiver):
    order = order_in(Status.LAUNCHED, pod_requirement=PodRequirement.OTP)
    code = codes.renew(order.pk, by=SYSTEM)
    send_all()
    assert any(code in text for text in texts(sms))
    launched = CustomerMessage.objects.get(order=order, kind=Kind.LAUNCHED)
    assert messages.BLOTTED_OUT in launched.text
    with connection.cursor() as cursor:
        for table in ("tracking_customermessage", "tracking_codetotell", "pod_onetimecode"):
            cursor.execute(
                f"SELECT count(*) FROM {table} AS r WHERE r::text LIKE %s", [f"%{code}%"]
            )
            assert cursor.fetchone() == (0,)
        assert bytes(CodeToTell.objects.get(pk=order.pk).sealed).find(code.encode()) == -1


def test_a_renewed_code_is_the_one_that_is_told(sms: Receiver):
    order = OrderFactory(pod_requirement=PodRequirement.OTP)
    code = codes.renew(order.pk, by=SYSTEM)
    lifecycle.assign(order.pk, DroneFactory().pk, by=DISPATCHER, why="The only one.")
    lifecycle.advance(order.pk, Status.LAUNCHED, by=GCS)
    send_all()
    assert any(code in text for text in texts(sms))


def test_a_delivery_that_starts_over_says_nothing_twice(sms: Receiver):
    order = order_in(Status.ENROUTE)
    send_all()
    lifecycle.mission_over(order.pk, ended=JobStatus.FAILED, by=GCS, why="Wind.", max_attempts=3)
    lifecycle.assign(order.pk, DroneFactory().pk, by=DISPATCHER, why="The next one.")
    lifecycle.advance(order.pk, Status.ARRIVED, by=GCS)
    send_all()
    assert sorted(told(order)) == sorted(ON_THE_WAY)
    assert len(sms.received) == 3


@pytest.mark.parametrize(
    ("reason", "words"),
    [(CancelReason.WEATHER, "because of the weather"), (CancelReason.OTHER, "Canceled.")],
)
def test_a_cancelation_says_why_where_the_public_may_know(
    sms: Receiver, reason: CancelReason, words: str
):
    order = OrderFactory(merchant=MerchantFactory(support_contact="+233 30 200 0000"))
    send_all()
    lifecycle.cancel(order.pk, by=SYSTEM, reason=reason, note="Ama said no")
    send_all()
    assert words in texts(sms)[-1]
    assert "+233 30 200 0000" in texts(sms)[-1]
    assert "said no" not in texts(sms)[-1]


@pytest.mark.parametrize("status", [Status.FAILED, Status.ABORTED])
def test_a_delivery_that_fails_is_not_passed_over_in_silence(status: Status):
    assert told(order_in(status))[-1] == Kind.FAILED


def test_what_is_not_true_any_more_is_not_said(sms: Receiver):
    order = order_in(Status.DELIVERED)
    assert send_all() == 1
    (text,) = texts(sms)
    assert "was delivered" in text
    dropped = CustomerMessage.objects.filter(order=order, state=State.DROPPED)
    assert set(dropped.values_list("kind", flat=True)) == set(ON_THE_WAY)


def test_french_customers_read_french(sms: Receiver, settings: Settings):
    settings.MESSAGE_LANGUAGE = "fr"
    order_in(Status.LAUNCHED, pod_requirement=PodRequirement.OTP)
    send_all()
    assert any("votre drone a décollé. Votre code" in text for text in texts(sms))
    assert not any("your" in text for text in texts(sms))


def test_each_customer_reads_their_own_language_where_the_order_names_it(sms: Receiver):
    french = OrderFactory(customer_language="fr")
    OrderFactory()
    send_all()
    texts_by_language = sorted(texts(sms), key=lambda text: "Suivez" in text)
    assert "Follow it" in texts_by_language[0]
    assert f"/track/{french.public_tracking_id}/?lang=fr" in texts_by_language[1]


def test_nobody_is_asked_for_a_spot_that_they_cannot_choose(sms: Receiver):
    policy.change(by=SYSTEM, customer_dropoff_radius_m=0)
    OrderFactory()
    send_all()
    assert "Follow it: https://" in texts(sms)[0]
    assert "exact spot" not in texts(sms)[0]


def test_a_text_may_contain_what_html_may_not(sms: Receiver):
    OrderFactory(merchant=MerchantFactory(name="Fish & Chips “Ama's”"))
    send_all()
    assert texts(sms)[0].startswith("Fish & Chips “Ama's”: ")


# --- just before arrival -------------------------------------------------------------------------


def followed(order: Order, *, told_of_launch: timedelta, **flight: Any) -> Order:
    """Its flight is seen, and its customer was told of the launch so long ago."""
    Flight.objects.create(job=lifecycle.job_of(order), heard_at=timezone.now(), **flight)
    launched = CustomerMessage.objects.filter(order=order, kind=Kind.LAUNCHED)
    launched.update(created_at=timezone.now() - told_of_launch)
    send_all()
    return order


def test_a_customer_hears_of_the_arrival_in_time_to_be_there(sms: Receiver):
    order = followed(order_in(Status.ENROUTE), told_of_launch=timedelta(minutes=9))
    expect_in(order, minutes=2.1)
    assert messages.note_arrivals(timezone.now()) == []
    expect_in(order, minutes=1.9)
    for _ in range(2):
        messages.note_arrivals(timezone.now())
        send_all()
    lifecycle.advance(order.pk, Status.ARRIVED, by=GCS)
    send_all()
    assert sorted(told(order)) == sorted(ON_THE_WAY)
    assert "your drone is almost here (about 2 minutes). Please stand back" in texts(sms)[-1]


@pytest.mark.parametrize(
    ("told_of_launch", "noted"),
    [(timedelta(seconds=40), 0), (timedelta(minutes=9), 1)],
    ids=["just told of the launch", "noted and sent late"],
)
def test_a_drone_that_is_here_by_then_is_said_to_be_here(
    sms: Receiver, told_of_launch: timedelta, noted: int
):
    order = followed(order_in(Status.ENROUTE), told_of_launch=told_of_launch)
    expect_in(order, minutes=1)
    assert len(messages.note_arrivals(timezone.now())) == noted
    lifecycle.advance(order.pk, Status.ARRIVED, by=GCS)
    send_all()
    assert sorted(told(order)) == sorted(ON_THE_WAY)
    assert "your drone is here. Please stand back" in texts(sms)[-1]


def test_a_drone_that_turned_back_meanwhile_is_not_said_to_come(sms: Receiver):
    order = followed(order_in(Status.ENROUTE), told_of_launch=timedelta(minutes=9))
    expect_in(order, minutes=1)
    (noted,) = messages.note_arrivals(timezone.now())
    lifecycle.mission_over(order.pk, ended=JobStatus.FAILED, by=GCS, why="Wind.", max_attempts=3)
    assert not messages.deliver(noted)
    lifecycle.assign(order.pk, DroneFactory().pk, by=DISPATCHER, why="The next one.")
    order = lifecycle.advance(order.pk, Status.ENROUTE, by=GCS).order
    expect_in(order, minutes=9)
    CustomerMessage.objects.update(next_try_at=timezone.now())
    assert not messages.deliver(noted)
    expect_in(order, minutes=2)
    CustomerMessage.objects.update(next_try_at=timezone.now())
    assert messages.deliver(noted)
    assert "almost here (about 2 minutes)" in texts(sms)[-1]


def test_nobody_is_called_out_to_a_drone_that_is_not_heard_of(sms: Receiver):
    lost_at = timezone.now() - timedelta(minutes=1)
    lost = followed(
        order_in(Status.ENROUTE), told_of_launch=timedelta(minutes=9), link_lost_at=lost_at
    )
    expect_in(lost, minutes=1)
    unseen = order_in(Status.ENROUTE)
    CustomerMessage.objects.update(created_at=lost_at)
    expect_in(unseen, minutes=1)  # as it was promised, and nothing else is known
    overdue = followed(order_in(Status.ENROUTE), told_of_launch=timedelta(minutes=9))
    expect_in(overdue, minutes=-1)
    assert messages.note_arrivals(timezone.now()) == []


# --- delays --------------------------------------------------------------------------------------


def late_order(**attributes: Any) -> Order:
    created = timezone.now() - timedelta(hours=2)
    return OrderFactory(created_at=created, deliver_by=created + timedelta(hours=1), **attributes)


def test_a_late_order_says_so_once():
    order = late_order()
    for _ in range(2):
        messages.note_delays(timezone.now())
    assert told(order).count(Kind.DELAYED) == 1


def test_one_that_will_be_late_says_so_before():
    order = order_in(Status.ENROUTE)
    expect_in(order, minutes=62)
    assert messages.note_delays(timezone.now()) == []
    expect_in(order, minutes=70)
    assert len(messages.note_delays(timezone.now())) == 1


def test_nobody_is_told_that_a_drone_at_the_door_is_late():
    now = timezone.now()
    order = order_in(Status.ARRIVED, deliver_by=now - timedelta(minutes=1))
    assert messages.note_delays(now) == []
    assert Kind.DELAYED not in told(order)


def test_a_delay_of_yesterday_is_no_news():
    OrderFactory(deliver_by=timezone.now() - timedelta(days=1))
    assert messages.note_delays(timezone.now()) == []


def test_who_cannot_be_reached_does_not_come_up_again_and_again():
    late_order(customer_phone="")
    assert messages.note_delays(timezone.now()) == []


# --- test orders, and no channels ----------------------------------------------------------------


def test_test_orders_bother_nobody():
    order_in(
        Status.QUEUED,
        live_mode=False,
        test_scenario=Scenario.DELIVERED,
        customer_email=EMAIL,
        pod_requirement=PodRequirement.OTP,
    )
    late_order(live_mode=False, test_scenario=Scenario.DELIVERED)
    messages.note_delays(timezone.now())
    assert not CustomerMessage.objects.exists()
    assert not CodeToTell.objects.exists()


def test_on_a_terminal_test_orders_are_seen_and_addresses_are_not(
    settings: Settings, capsys: pytest.CaptureFixture[str]
):
    settings.MESSAGE_CHANNELS = ["console", "sms"]
    OrderFactory(live_mode=False, test_scenario=Scenario.DELIVERED)
    assert send_all() == 1
    shown = capsys.readouterr().out
    assert "we have your order" in shown
    assert "24123" not in shown


def test_without_channels_nothing_is_written_and_nothing_asked(
    settings: Settings, django_assert_num_queries: DjangoAssertNumQueries
):
    settings.MESSAGE_CHANNELS = []
    order = order_in(Status.LAUNCHED, pod_requirement=PodRequirement.OTP)
    with django_assert_num_queries(0):
        assert messages.note_down(list(order.events.none())) == []
        assert messages.note_delays(timezone.now()) == []
        assert messages.note_arrivals(timezone.now()) == []
    assert not CustomerMessage.objects.exists()
    assert not CodeToTell.objects.exists()


def test_what_is_rolled_back_is_not_told():
    with transaction.atomic():
        OrderFactory()
        transaction.set_rollback(True)
    assert not CustomerMessage.objects.exists()


# --- what is not known is not promised, and what was wrong is put right --------------------------


def corrected(order: Order, outcome: Status) -> Order:
    changed = lifecycle.correct(order.pk, outcome=outcome, by=SYSTEM, why="The customer called.")
    send_all()
    return changed


def test_a_correction_tells_the_new_outcome(sms: Receiver):
    order = order_in(Status.FAILED)
    send_all()
    corrected(order, Status.DELIVERED)
    assert "we were wrong, your order was delivered" in texts(sms)[-1]
    assert texts(sms)[-2].startswith(order.merchant.name)
    assert "we could not deliver" in texts(sms)[-2]


def test_a_delivery_that_was_none_is_taken_back(sms: Receiver):
    order = delivered_order()
    corrected(order, Status.FAILED)
    assert "we were wrong, your order was not delivered" in texts(sms)[-1]


def test_another_reason_for_the_same_end_is_no_news(sms: Receiver):
    order = order_in(Status.ABORTED)
    send_all()
    said = texts(sms)
    corrected(order, Status.FAILED)
    assert texts(sms) == said


def test_an_end_that_was_taken_back_before_it_was_told_is_not_told(sms: Receiver):
    order = order_in(Status.FAILED)
    corrected(order, Status.DELIVERED)
    assert not any("could not deliver" in text for text in texts(sms))
    failed = CustomerMessage.objects.get(order=order, kind=Kind.FAILED)
    assert (failed.state, failed.problem) == (State.DROPPED, "The order is DELIVERED now.")


def test_a_launch_that_is_over_waits_for_the_next_one_with_its_code(sms: Receiver):
    order = order_in(Status.LAUNCHED, pod_requirement=PodRequirement.OTP)
    lifecycle.mission_over(order.pk, ended=JobStatus.FAILED, by=GCS, why="Wind.", max_attempts=3)
    send_all()
    launched = CustomerMessage.objects.get(order=order, kind=Kind.LAUNCHED)
    assert (launched.state, launched.sent_at) == (State.WAITING, None)
    assert not any("taken off" in text for text in texts(sms))


def lose_sight(order: Order) -> None:
    lifecycle.sight_lost(order.pk, by=GCS, why="It went silent.")


def contradict(order: Order) -> None:
    discrepancies.raise_(
        lifecycle.job_of(order), Discrepancy.Code.STANDS_AT_HUB, "It stands at its hub."
    )


@pytest.mark.parametrize("doubt", [lose_sight, contradict])
def test_no_arrival_is_told_that_is_not_believed(
    sms: Receiver, doubt: Callable[[Order], None]
) -> None:
    order = order_in(Status.ENROUTE)
    expect_in(order, minutes=1)
    doubt(order)
    send_all()
    launched = CustomerMessage.objects.get(order=order, kind=Kind.LAUNCHED)
    assert "Arrival" not in launched.text
    Flight.objects.create(job_id=order.current_job_id, heard_at=timezone.now())
    CustomerMessage.objects.filter(pk=launched.pk).update(
        created_at=timezone.now() - timedelta(minutes=5)
    )
    assert messages.note_arrivals(timezone.now()) == []
