"""No alert has personal data for any line of the attention list."""

from datetime import timedelta

import pytest
from django.core import mail
from django.utils import timezone

from fleet.tests.factories import DroneFactory, TelemetryFactory, seconds_ago, show
from orders.models import Order
from orders.states import PodRequirement, Status
from orders.tests.factories import OrderFactory, order_in
from pod import cases
from pod.models import Case
from tracking.messages.models import CustomerMessage
from tracking.tests.receiver import Receiver
from wingxtra.accounts.identity import CUSTOMER
from wingxtra.console import dashboard
from wingxtra.escalation.models import Alert
from wingxtra.escalation.tests.support import PagerDutyFactory, RuleFactory, go_on

pytestmark = pytest.mark.django_db

CUSTOMER_S = {
    "customer_name": "Adwoa Boatengmaa",
    "customer_phone": "+233209876543",
    "customer_email": "adwoa.b@secret.example",
    "dropoff_address": "12 Kanda Highway",
    "dropoff_instructions": "Ring at the blue gate",
}
SECRETS = ("Adwoa", "Boatengmaa", "209876543", "secret.example", "Kanda", "blue gate", "dog bites")


def a_bad_day() -> None:
    """Orders of one customer in all states, late, without proof, with a case, with lost links."""
    for status in Status:
        order_in(status, drone=DroneFactory(), **CUSTOMER_S)
    OrderFactory(deliver_by=seconds_ago(900), **CUSTOMER_S)
    told = order_in(Status.DELIVERED, pod_requirement=PodRequirement.PHOTO, **CUSTOMER_S)
    words = cases.Complaint(Case.Kind.NOT_HERE, "The dog bites, call Adwoa")
    cases.open_case(told.pk, words, by=CUSTOMER)
    CustomerMessage.objects.update(
        state=CustomerMessage.State.GIVEN_UP, problem="+233209876543 is wrong"
    )
    show(TelemetryFactory(drone_id="WX-NEW-1"))


def test_alerts_have_no_personal_data_and_no_tracking_ids(receiver: Receiver) -> None:
    a_bad_day()
    for factory in (RuleFactory, PagerDutyFactory):
        factory(url=receiver.url, severity="WARNING")
    RuleFactory(kind="EMAIL", url="", secret=None, emails=["night@example.com"], severity="WARNING")
    go_on()
    assert Alert.objects.count() > 15
    sent = [one.body.decode() for one in receiver.received]
    sent += [f"{one.subject} {one.body}" for one in mail.outbox]
    assert len(sent) == Alert.objects.count()
    tracking_ids = Order.objects.values_list("public_tracking_id", flat=True)
    for text in sent:
        assert not [secret for secret in (*SECRETS, *tracking_ids) if secret in text]


def test_items_about_an_object_have_words_without_it() -> None:
    a_bad_day()
    board = dashboard.board(timezone.now() + timedelta(minutes=5))
    items = [item for group in board.lines for item in group.items]
    assert items
    assert [item.text for item in items if item.about and not item.many] == []
