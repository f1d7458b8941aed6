"""A renewed tracking link: the former one is unknown at once, the customer gets the new one."""

from typing import Any

import pytest
from django.test import Client
from pytest_django import DjangoCaptureOnCommitCallbacks

from orders.changes import details, tracking_link
from orders.models import Order
from orders.states import PodRequirement, Status
from orders.tests.factories import OrderFactory, order_in
from pod import codes
from tracking.messages.models import CustomerMessage
from tracking.page import cache, facts
from tracking.tests.mailbox import send_all, texts
from tracking.tests.receiver import Receiver
from wingxtra.accounts.identity import SYSTEM
from wingxtra.problems import NotFound

pytestmark = pytest.mark.django_db

OTHER = "+233209999999"


def pages_of(tracking_id: str) -> list[str]:
    page = f"/track/{tracking_id}/"
    return [page, f"{page}qr.svg", f"/api/v1/tracking/{tracking_id}"]


def statuses(tracking_id: str) -> set[int]:
    return {Client().get(path).status_code for path in pages_of(tracking_id)}


def test_the_former_link_is_unknown_at_once_although_it_was_cached(
    django_capture_on_commit_callbacks: DjangoCaptureOnCommitCallbacks,
) -> None:
    former = OrderFactory().public_tracking_id
    assert statuses(former) == {200}
    with django_capture_on_commit_callbacks(execute=True):
        renewed = tracking_link.renew(Order.objects.get().pk, by=SYSTEM)
    assert statuses(former) == {404}
    assert statuses(renewed.public_tracking_id) == {200}


def test_a_view_that_was_being_built_does_not_bring_the_former_link_back(
    django_capture_on_commit_callbacks: DjangoCaptureOnCommitCallbacks,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    order = OrderFactory()
    former, read = order.public_tracking_id, facts.read

    def read_slowly(*about: Any) -> facts.Facts:
        found = read(*about)
        monkeypatch.setattr(facts, "read", read)
        with django_capture_on_commit_callbacks(execute=True):
            tracking_link.renew(order.pk, by=SYSTEM)
        return found

    monkeypatch.setattr(facts, "read", read_slowly)
    with pytest.raises(NotFound):
        cache.fetch(former)
    with pytest.raises(NotFound):
        cache.fetch(former)


# --- messages ------------------------------------------------------------------------------------


def correct(order: Order, **fields: str) -> Order:
    return details.change_details(order.pk, fields, by=SYSTEM).order


def test_a_corrected_number_gets_the_new_link_at_once(sms: Receiver) -> None:
    order = OrderFactory()
    send_all()
    corrected = correct(order, customer_phone=OTHER)
    assert send_all() == 1
    message = CustomerMessage.objects.get(order=order, event__isnull=False)
    assert message.address == OTHER
    assert f"/track/{corrected.public_tracking_id}/" in texts(sms)[-1]
    assert order.public_tracking_id not in texts(sms)[-1]


def test_a_message_that_still_waits_is_written_once(sms: Receiver) -> None:
    order = OrderFactory()
    correct(order, customer_phone=OTHER)
    assert send_all() == 1
    sent = CustomerMessage.objects.filter(order=order, state=CustomerMessage.State.SENT)
    assert [message.kind for message in sent] == ["RECEIVED"]


def test_the_same_number_again_sends_nothing(sms: Receiver) -> None:
    order = OrderFactory()
    send_all()
    correct(order, customer_phone=str(order.customer_phone))
    assert send_all() == 0


@pytest.mark.parametrize("field", ["customer_name", "dropoff_instructions"])
def test_other_details_send_nothing(sms: Receiver, field: str) -> None:
    order = OrderFactory()
    send_all()
    correct(order, **{field: "Esi"})
    assert send_all() == 0


def test_the_first_number_of_a_customer_gets_the_link(sms: Receiver) -> None:
    order = OrderFactory(customer_phone="")
    assert send_all() == 0
    correct(order, customer_phone=OTHER)
    assert send_all() == 1
    assert f"/track/{order.public_tracking_id}/" in texts(sms)[0]


def test_in_flight_the_new_link_comes_with_the_code(sms: Receiver) -> None:
    order = order_in(Status.LAUNCHED, pod_requirement=PodRequirement.OTP)
    code = codes.renew(order.pk, by=SYSTEM)
    send_all()
    renewed = tracking_link.renew(order.pk, by=SYSTEM)
    assert send_all() == 1
    assert code in texts(sms)[-1]
    assert renewed.public_tracking_id in texts(sms)[-1]


@pytest.mark.parametrize("status", [Status.DELIVERED, Status.CANCELED])
def test_an_order_that_is_over_sends_no_link(sms: Receiver, status: Status) -> None:
    order = order_in(status)
    send_all()
    tracking_link.renew(order.pk, by=SYSTEM)
    assert send_all() == 0
