"""Messages to customers: which events cause one, once per channel, and none that is outdated."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.core import mail
from django.db import connection, transaction
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries, Settings

from dispatch.missions import delays, discrepancies
from dispatch.models import Discrepancy, Flight
from fleet import policy
from fleet.tests.factories import DroneFactory
from orders import lifecycle
from orders.models import Order
from orders.states import CancelReason, JobStatus, PodRequirement, Scenario, Status
from orders.tests.factories import OrderFactory, order_in
from pod import codes, proofs
from tracking.messages import sending
from tracking.messages import triggers as messages
from tracking.messages.models import CodeToTell, CustomerMessage
from tracking.tests.deliveries import expect_in
from tracking.tests.mailbox import kinds, send_all, texts, told_eta
from tracking.tests.receiver import Receiver
from wingxtra.accounts.identity import CUSTOMER, DISPATCHER, GCS, SYSTEM
from wingxtra.accounts.tests.factories import MerchantFactory

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("gateways")]

Kind, State = CustomerMessage.Kind, CustomerMessage.State
EMAIL = "ama@mail.example"
ON_THE_WAY = [Kind.RECEIVED, Kind.LAUNCHED, Kind.ARRIVING]


def delivered_order(**attributes: Any) -> Order:
    """An order flown step by step. Due messages are sent after each step."""
    order = OrderFactory(**attributes)
    send_all()
    lifecycle.assign(order.pk, DroneFactory().pk, by=DISPATCHER, why="The only one.")
    for status in (Status.LAUNCHED, Status.ENROUTE, Status.ARRIVED, Status.DELIVERED):
        lifecycle.advance(order.pk, status, by=GCS)
        send_all()
    return order


# --- events --------------------------------------------------------------------------------------


def test_a_customer_gets_one_message_per_step(sms: Receiver):
    order = delivered_order(merchant=MerchantFactory(name="Ridge Pharmacy"))
    assert kinds(order) == [*ON_THE_WAY, Kind.DELIVERED]
    received = texts(sms)
    assert len(received) == 4
    assert all(text.startswith("Ridge Pharmacy: ") for text in received)
    link = f"https://delivery.example/track/{order.public_tracking_id}/"
    assert [link in text for text in received] == [True, True, True, False]
    assert send_all() == 0
    assert len(sms.received) == 4


def test_messages_go_to_each_channel_that_has_an_address(sms: Receiver):
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


def test_the_launch_message_has_a_working_code(sms: Receiver):
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
    assert not CodeToTell.objects.exists()


def test_no_code_can_be_read_in_the_database(sms: Receiver):
    order = order_in(Status.LAUNCHED, pod_requirement=PodRequirement.OTP)
    code = codes.renew(order.pk, by=SYSTEM)
    send_all()
    assert any(code in text for text in texts(sms))
    launched = CustomerMessage.objects.get(order=order, kind=Kind.LAUNCHED)
    assert sending.REDACTED in launched.text
    with connection.cursor() as cursor:
        for table in ("tracking_customermessage", "tracking_codetotell", "pod_onetimecode"):
            cursor.execute(
                f"SELECT count(*) FROM {table} AS r WHERE r::text LIKE %s", [f"%{code}%"]
            )
            assert cursor.fetchone() == (0,)
        assert bytes(CodeToTell.objects.get(pk=order.pk).sealed).find(code.encode()) == -1


def test_the_launch_message_has_the_renewed_code(sms: Receiver):
    order = OrderFactory(pod_requirement=PodRequirement.OTP)
    code = codes.renew(order.pk, by=SYSTEM)
    lifecycle.assign(order.pk, DroneFactory().pk, by=DISPATCHER, why="The only one.")
    lifecycle.advance(order.pk, Status.LAUNCHED, by=GCS)
    send_all()
    assert any(code in text for text in texts(sms))


def test_a_second_flight_repeats_no_message(sms: Receiver):
    order = order_in(Status.ENROUTE)
    send_all()
    lifecycle.mission_over(order.pk, ended=JobStatus.FAILED, by=GCS, why="Wind.", max_attempts=3)
    lifecycle.assign(order.pk, DroneFactory().pk, by=DISPATCHER, why="The next one.")
    lifecycle.advance(order.pk, Status.ARRIVED, by=GCS)
    send_all()
    assert sorted(kinds(order)) == sorted(ON_THE_WAY)
    assert len(sms.received) == 3


@pytest.mark.parametrize(
    ("reason", "words"),
    [(CancelReason.WEATHER, "because of the weather"), (CancelReason.OTHER, "Canceled.")],
)
def test_a_cancelation_message_has_the_reason_if_it_is_public(
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
def test_a_failed_delivery_causes_a_message(status: Status):
    assert kinds(order_in(status))[-1] == Kind.FAILED


def test_outdated_messages_are_dropped(sms: Receiver):
    order = order_in(Status.DELIVERED)
    assert send_all() == 1
    (text,) = texts(sms)
    assert "was delivered" in text
    dropped = CustomerMessage.objects.filter(order=order, state=State.DROPPED)
    assert set(dropped.values_list("kind", flat=True)) == set(ON_THE_WAY)


def test_messages_can_be_french(sms: Receiver, settings: Settings):
    settings.MESSAGE_LANGUAGE = "fr"
    order_in(Status.LAUNCHED, pod_requirement=PodRequirement.OTP)
    send_all()
    assert any("votre drone a décollé. Votre code" in text for text in texts(sms))
    assert not any("your" in text for text in texts(sms))


def test_messages_use_the_language_of_the_order(sms: Receiver):
    french = OrderFactory(customer_language="fr")
    OrderFactory()
    send_all()
    texts_by_language = sorted(texts(sms), key=lambda text: "Suivez" in text)
    assert "Follow it" in texts_by_language[0]
    assert f"/track/{french.public_tracking_id}/?lang=fr" in texts_by_language[1]


def test_the_first_message_offers_to_move_the_drop_point_only_if_allowed(sms: Receiver):
    policy.change(by=SYSTEM, customer_dropoff_radius_m=0, spot_pause_s=120)
    OrderFactory()
    send_all()
    assert "Follow it: https://" in texts(sms)[0]
    assert "exact spot" not in texts(sms)[0]


def test_texts_are_not_html_escaped(sms: Receiver):
    OrderFactory(merchant=MerchantFactory(name="Fish & Chips “Ama's”"), customer_email=EMAIL)
    send_all()
    assert texts(sms)[0].startswith('Fish & Chips "Ama\'s": ')
    assert mail.outbox[0].body.startswith("Fish & Chips “Ama's”: ")


# --- just before arrival -------------------------------------------------------------------------


def followed(order: Order, *, launched_ago: timedelta, **flight: Any) -> Order:
    """The order with a followed flight. Its launch message was written this long ago."""
    Flight.objects.create(job=lifecycle.job_of(order), heard_at=timezone.now(), **flight)
    launched = CustomerMessage.objects.filter(order=order, kind=Kind.LAUNCHED)
    launched.update(created_at=timezone.now() - launched_ago)
    send_all()
    return order


def test_the_arrival_message_is_sent_two_minutes_before(sms: Receiver):
    order = followed(order_in(Status.ENROUTE), launched_ago=timedelta(minutes=9))
    expect_in(order, minutes=2.1)
    assert messages.write_arrivals(timezone.now()) == []
    expect_in(order, minutes=1.9)
    expected = told_eta(order)
    for _ in range(2):
        messages.write_arrivals(timezone.now())
        send_all()
    lifecycle.advance(order.pk, Status.ARRIVED, by=GCS)
    send_all()
    assert sorted(kinds(order)) == sorted(ON_THE_WAY)
    shown = f"your drone arrives about {expected}. Please stand back until the parcel is down."
    assert shown in texts(sms)[-1]


@pytest.mark.parametrize(
    ("launched_ago", "written"),
    [(timedelta(seconds=40), 0), (timedelta(minutes=9), 1)],
    ids=["shortly after the launch message", "written before and sent late"],
)
def test_an_arrival_message_sent_after_arrival_says_the_drone_is_here(
    sms: Receiver, launched_ago: timedelta, written: int
):
    order = followed(order_in(Status.ENROUTE), launched_ago=launched_ago)
    expect_in(order, minutes=1)
    assert len(messages.write_arrivals(timezone.now())) == written
    lifecycle.advance(order.pk, Status.ARRIVED, by=GCS)
    send_all()
    assert sorted(kinds(order)) == sorted(ON_THE_WAY)
    assert "your drone is here. Please stand back" in texts(sms)[-1]


def test_the_arrival_message_waits_for_the_next_drone_when_one_turns_back(sms: Receiver):
    order = followed(order_in(Status.ENROUTE), launched_ago=timedelta(minutes=9))
    expect_in(order, minutes=1)
    (written,) = messages.write_arrivals(timezone.now())
    lifecycle.mission_over(order.pk, ended=JobStatus.FAILED, by=GCS, why="Wind.", max_attempts=3)
    assert not sending.deliver(written)
    lifecycle.assign(order.pk, DroneFactory().pk, by=DISPATCHER, why="The next one.")
    order = lifecycle.advance(order.pk, Status.ENROUTE, by=GCS).order
    expect_in(order, minutes=9)
    CustomerMessage.objects.update(next_try_at=timezone.now())
    assert not sending.deliver(written)
    expect_in(order, minutes=2)
    CustomerMessage.objects.update(next_try_at=timezone.now())
    assert sending.deliver(written)
    assert "your drone arrives about" in texts(sms)[-1]


def test_a_silent_or_overdue_drone_causes_no_arrival_message(sms: Receiver):
    lost_at = timezone.now() - timedelta(minutes=1)
    lost = followed(
        order_in(Status.ENROUTE), launched_ago=timedelta(minutes=9), link_lost_at=lost_at
    )
    expect_in(lost, minutes=1)
    unseen = order_in(Status.ENROUTE)
    CustomerMessage.objects.update(created_at=lost_at)
    expect_in(unseen, minutes=1)  # an ETA without telemetry
    overdue = followed(order_in(Status.ENROUTE), launched_ago=timedelta(minutes=9))
    expect_in(overdue, minutes=-1)
    assert messages.write_arrivals(timezone.now()) == []


# --- test orders, and no channels ----------------------------------------------------------------


def test_test_orders_send_no_messages():
    order_in(
        Status.QUEUED,
        live_mode=False,
        test_scenario=Scenario.DELIVERED,
        customer_email=EMAIL,
        pod_requirement=PodRequirement.OTP,
    )
    OrderFactory(
        live_mode=False,
        test_scenario=Scenario.DELIVERED,
        deliver_by=timezone.now() - timedelta(hours=1),
    )
    delays.tell(timezone.now())
    assert not CustomerMessage.objects.exists()
    assert not CodeToTell.objects.exists()


def test_the_terminal_shows_messages_of_test_orders_without_addresses(
    settings: Settings, capsys: pytest.CaptureFixture[str]
):
    settings.MESSAGE_CHANNELS = ["console", "sms"]
    OrderFactory(live_mode=False, test_scenario=Scenario.DELIVERED)
    assert send_all() == 1
    shown = capsys.readouterr().out
    assert "your order comes by drone" in shown
    assert "24123" not in shown


def test_without_channels_there_are_no_messages_and_no_queries(
    settings: Settings, django_assert_num_queries: DjangoAssertNumQueries
):
    settings.MESSAGE_CHANNELS = []
    order = order_in(Status.LAUNCHED, pod_requirement=PodRequirement.OTP)
    with django_assert_num_queries(0):
        assert messages.write_messages(list(order.events.none())) == []
        assert messages.write_arrivals(timezone.now()) == []
    assert not CustomerMessage.objects.exists()
    assert not CodeToTell.objects.exists()


def test_a_rolled_back_event_causes_no_message():
    with transaction.atomic():
        OrderFactory()
        transaction.set_rollback(True)
    assert not CustomerMessage.objects.exists()


# --- corrections and doubts ----------------------------------------------------------------------


def corrected(order: Order, outcome: Status) -> Order:
    changed = lifecycle.correct(order.pk, outcome=outcome, by=SYSTEM, why="The customer called.")
    send_all()
    return changed


def test_a_correction_to_delivered_causes_a_message(sms: Receiver):
    order = order_in(Status.FAILED)
    send_all()
    corrected(order, Status.DELIVERED)
    assert "we were wrong, your order was delivered" in texts(sms)[-1]
    assert texts(sms)[-2].startswith(order.merchant.name)
    assert "we could not deliver" in texts(sms)[-2]


def test_a_correction_to_failed_causes_a_message(sms: Receiver):
    order = delivered_order()
    corrected(order, Status.FAILED)
    assert "we were wrong, your order was not delivered" in texts(sms)[-1]


def test_a_correction_from_aborted_to_failed_causes_no_message(sms: Receiver):
    order = order_in(Status.ABORTED)
    send_all()
    before = texts(sms)
    corrected(order, Status.FAILED)
    assert texts(sms) == before


def test_a_waiting_message_about_a_corrected_end_is_dropped(sms: Receiver):
    order = order_in(Status.FAILED)
    corrected(order, Status.DELIVERED)
    assert not any("could not deliver" in text for text in texts(sms))
    failed = CustomerMessage.objects.get(order=order, kind=Kind.FAILED)
    assert (failed.state, failed.problem) == (State.DROPPED, "The order is DELIVERED now.")


def test_the_launch_message_of_an_ended_flight_waits_for_the_next_launch(sms: Receiver):
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
def test_a_flight_in_doubt_causes_no_arrival_message(
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
    assert messages.write_arrivals(timezone.now()) == []
