"""What the dashboard costs: at most 12 statements, the same for any number of troubles."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from dispatch.models import Clearance, Discrepancy, Flight, Mission, MissionPart
from dispatch.tests import doubts
from fleet.models import Defect
from fleet.tests.factories import (
    DroneFactory,
    ServiceAreaFactory,
    TelemetryFactory,
    seconds_ago,
    show,
)
from orders.models import DeliveryJob, Order
from orders.states import PodRequirement, Status
from orders.tests.factories import OrderFactory, order_in
from pod.models import Case, OneTimeCode
from tracking.messages.models import CustomerMessage
from tracking.tests.receiver import WebhookFactory
from wingxtra.accounts.identity import Role
from wingxtra.accounts.tests.factories import UserFactory
from wingxtra.console import dashboard
from wingxtra.tests.test_attention_browser import without_a_drone

pytestmark = pytest.mark.django_db
BUDGET = 12
Code = Discrepancy.Code
State = Clearance.State


@pytest.fixture(autouse=True)
def ama(client: Client) -> Client:
    client.force_login(UserFactory(role=Role.OPS))
    return client


def statements(browser: Client, address: str) -> int:
    browser.get(address)  # what is compiled or read once in a process is so now
    with CaptureQueriesContext(connection) as sent:
        assert browser.get(address).status_code == 200
    assert len(sent) <= BUDGET, "\n".join(str(one["sql"])[:200] for one in sent)
    return len(sent)


def cost(browser: Client, cause: str = "") -> list[int]:
    """How many statements three pages take: the dashboard, its poll with this line open, and the
    page of the line if there is one.
    """
    poll = f"{reverse('admin:now')}?open={cause}"
    line = f"{reverse('admin:attention-line')}?cause={cause}"
    addresses = [reverse("admin:index"), poll, *([line] if cause else [])]
    return [statements(browser, address) for address in addresses]


# --- one trouble of each kind --------------------------------------------------------------------


def at_risk() -> None:
    order = order_in(Status.ASSIGNED)
    late = order.deliver_by + timedelta(minutes=5)
    DeliveryJob.objects.filter(order=order).update(eta_at=late)


def awaited() -> None:
    order = order_in(Status.DELIVERING, pod_requirement=PodRequirement.OTP)
    Order.objects.filter(pk=order.pk).update(proof_awaited_since=seconds_ago(300))
    OneTimeCode.objects.update_or_create(pk=order.pk, defaults={"tries": 1})


def locked() -> None:
    order = order_in(Status.ENROUTE, pod_requirement=PodRequirement.OTP)
    OneTimeCode.objects.update_or_create(pk=order.pk, defaults={"tries": 5})


def message() -> None:
    CustomerMessage.objects.create(
        order=OrderFactory(), kind="PLACED", channel="SMS", state="GIVEN_UP", problem="400"
    )


def mission(status: Status, **changed: Any) -> MissionPart:
    order = order_in(status)
    Mission.objects.filter(parts__order=order).update(**changed)
    return MissionPart.objects.get(order=order)


def live(part: MissionPart) -> None:
    MissionPart.objects.filter(pk=part.pk).update(live=True)
    Mission.objects.filter(pk=part.mission_id).update(live=True)


def too_late() -> None:
    live(mission(Status.MISSION_SUBMITTED, recall_state="TOO_LATE", recall_asked_at=seconds_ago(9)))


def link_lost() -> None:
    job = doubts.job_of(order_in(Status.ENROUTE))
    Flight.objects.create(job=job, heard_at=seconds_ago(90), link_lost_at=seconds_ago(60))


def clearance() -> None:
    of = mission(Status.ASSIGNED).mission
    Clearance.objects.create(mission=of, state=State.WAITING, code="wait", asked_at=seconds_ago(90))


def lost_clearance() -> None:
    part = mission(Status.ENROUTE)
    live(part)
    Clearance.objects.create(mission=part.mission, state=State.WITHDRAWN, lost_at=seconds_ago(9))


def off_corridor() -> None:
    part = mission(Status.ENROUTE)
    live(part)
    Clearance.objects.create(mission=part.mission, flown_as="NONCONFORMING")


def defect() -> None:
    Defect.objects.create(drone=DroneFactory(), description="Motor 3.", grounds=True)


def unknown_drone() -> None:
    SHOWN.append(f"WX-NEW-{len(SHOWN)}")
    see_the_drones()


def see_the_drones() -> None:
    """Anew: on a slow machine their telemetry becomes old, and of old drones less is read."""
    show(*(TelemetryFactory(drone_id=name) for name in SHOWN or ["WX-NEW-0"]))


SHOWN: list[str] = []
HOUR_AGO = timedelta(hours=1)
TROUBLES: dict[str, Callable[[], Any]] = {
    "late": lambda: OrderFactory(deliver_by=seconds_ago(60)),
    "at-risk": at_risk,
    "ended": lambda: order_in(Status.FAILED),
    "proof": lambda: order_in(Status.DELIVERED, pod_requirement=PodRequirement.OPERATOR_CONFIRM),
    "awaited": awaited,
    "code": locked,
    "case": lambda: Case.objects.create(order=order_in(Status.DELIVERED), kind="NOT_HERE"),
    "message": message,
    "webhook": lambda: WebhookFactory(enabled=False, switched_off_at=timezone.now()),
    "no-drone:battery_below_minimum": lambda: without_a_drone(1),
    "intent": lambda: mission(Status.ASSIGNED, tries=2, bridge_answer="503"),
    "refused": lambda: mission(Status.ASSIGNED, state="REJECTED"),
    "held": lambda: mission(Status.ASSIGNED, state="HELD", created_at=seconds_ago(90)),
    "launch": lambda: mission(
        Status.MISSION_SUBMITTED, state="ACCEPTED", accepted_at=timezone.now() - HOUR_AGO
    ),
    "too-late": too_late,
    "link": link_lost,
    "answer:PARCEL_UNKNOWN": doubts.astray,
    "not-over": doubts.not_over,
    "recall": lambda: doubts.unconfirmed(Status.MISSION_SUBMITTED),
    "clearance:wait": clearance,
    "clearance-lost": lost_clearance,
    "off-corridor": off_corridor,
    "on-hold": lambda: doubts.held(DroneFactory().pk),
    "defect": defect,
    "unknown": unknown_drone,
    "paused-areas": lambda: ServiceAreaFactory(dispatch_paused=True),
    f"doubt:{Code.FLIES_AFTER_END}": lambda: doubts.doubtful(Code.FLIES_AFTER_END, Status.QUEUED),
    f"doubt:{Code.UNCLEAR_LANDING}": lambda: doubts.doubtful(Code.UNCLEAR_LANDING),
    f"doubt:{Code.BATTERY}": lambda: doubts.doubtful(Code.BATTERY, Status.ENROUTE),
}


@pytest.mark.parametrize("cause", TROUBLES)
def test_more_troubles_of_a_kind_are_no_more_statements(ama: Client, cause: str) -> None:
    SHOWN.clear()
    see_the_drones()
    for _ in range(2):
        TROUBLES[cause]()
    few = cost(ama, cause)
    see_the_drones()
    for _ in range(2):
        TROUBLES[cause]()
    line = dashboard.board(timezone.now()).line(cause)
    assert line is not None
    assert line.count == 4
    assert cost(ama, cause) == few


def test_without_trouble_with_one_and_with_500_the_statements_are_the_same(ama: Client) -> None:
    cause = "no-drone:battery_below_minimum"
    none = cost(ama)
    without_a_drone(1)
    one = cost(ama, cause)
    without_a_drone(499)
    assert cost(ama, cause) == one
    assert one[:2] == none
    assert "500 orders have no able drone" in ama.get(reverse("admin:now")).content.decode()


def test_the_pages_of_a_line_have_all_its_items_once(ama: Client) -> None:
    orders = {str(order) for order in without_a_drone(120)}
    shown: list[str] = []
    address = f"{reverse('admin:attention-line')}?cause=no-drone:battery_below_minimum"
    for page in (1, 2, 3):
        answer = ama.get(f"{address}&page={page}")
        shown += [item.url.split("/")[-3] for item in answer.context["items"]]
        assert f"Page {page} of 3" in answer.content.decode()
    assert len(shown) == len(set(shown)) == len(orders)
