"""The page of an order: the same few statements for one row and for dozens of each part."""

from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection
from django.db.models import Model
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone
from pytest_django import Settings

from dispatch.models import (
    Clearance,
    Discrepancy,
    DispatchDecision,
    DispatchRun,
    Flight,
    FlightRecord,
    Mission,
    MissionPart,
    Occurrence,
    PilotChange,
    TrackPiece,
)
from dispatch.tests.support import able_drone, seen
from fleet import pauses
from fleet.tests.factories import PilotFactory
from orders.models import DeliveryEvent, DeliveryJob, Note, Order
from orders.states import JobStatus, PodRequirement, Status
from orders.tests.factories import StoreFactory, order_in
from pod import proofs
from pod.models import Case, OneTimeCode
from pod.proofs import Evidence
from tracking.messages.models import CustomerMessage
from tracking.models import WebhookDelivery
from tracking.tests.receiver import WebhookFactory
from wingxtra.accounts.models import User
from wingxtra.accounts.tests.factories import UserFactory
from wingxtra.console import actions
from wingxtra.tests import lists
from wingxtra.tests.bench.seed import Changes, multiply

pytestmark = pytest.mark.django_db
MOST = 12
MANY = 60


@pytest.fixture
def boss() -> Client:
    browser = Client()
    browser.force_login(UserFactory(username="boss", admin=True))
    return browser


@pytest.fixture(autouse=True)
def _messages(settings: Settings) -> None:
    settings.MESSAGE_CHANNELS = ["sms"]


# --- orders with every part ----------------------------------------------------------------------


def order_at(status: Status) -> Order:
    """An order with a store, a webhook, messages, and a one-time code with a wrong try."""
    endpoint = WebhookFactory()
    store = StoreFactory(merchant=endpoint.merchant)
    order = order_in(
        status,
        drone=able_drone() if status not in (Status.QUEUED, Status.FAILED) else None,
        merchant=endpoint.merchant,
        store=store,
        pod_requirement=PodRequirement.OTP,
    )
    OneTimeCode.objects.filter(pk=order.pk).update(tries=1)
    CustomerMessage.objects.update(state=CustomerMessage.State.SENT)
    return order


def paused() -> Order:
    order = order_at(Status.QUEUED)
    who = UserFactory(ops=True)
    pauses.set_everywhere(paused=True, by=who.actor, reason="Thunderstorm.")
    return order


def proven() -> Order:
    order = order_at(Status.DELIVERED)
    proofs.record(order.pk, Evidence.confirmation("Ama", note="On the camera."), by=lists.AMA)
    return order


ORDERS: dict[str, Callable[[], Order]] = {
    "queued, dispatch is paused": paused,
    "assigned": lambda: order_at(Status.ASSIGNED),
    "at the door": lambda: order_at(Status.ARRIVED),
    "delivered with its proof": proven,
    "failed": lambda: order_at(Status.FAILED),
}


def with_all_parts(order: Order) -> None:
    """One row of each part at least."""
    note = {"order": order, "author": "ama", "text": "The gate is locked."}
    Note.objects.create(**note, created_at=timezone.now())
    run = DispatchRun.objects.create(trigger="SCHEDULE", actor="dispatcher", policy_version=1)
    DispatchDecision.objects.create(run=run, order=order, outcome="UNASSIGNED", why="Too far.")
    Case.objects.create(order=order, kind=Case.Kind.DAMAGED)
    job = order.jobs.order_by("attempt").last()
    if job is None:
        return
    lists.one_of_each(order, User.objects.get(username="boss"))
    doubt: dict[str, Any] = {"order": order, "job": job, "message": "They differ."}
    Discrepancy.objects.create(**doubt, code=Discrepancy.Code.values[0])
    mission = Mission.objects.get(parts__job=job)
    Mission.objects.filter(pk=mission.pk).update(pilot_name="Kofi Asante")
    change = {
        "pilot": PilotFactory(),
        "pilot_name": "Kofi Asante",
        "note": "I go.",
        "changed_by": "x",
    }
    PilotChange.objects.create(mission=mission, **change)
    TrackPiece.objects.create(job=job, points=[[job.created_at.timestamp(), 5.6, -0.2, 60.0, 9.0]])
    Flight.objects.get_or_create(job=job, defaults={"heard_at": timezone.now()})
    if not order.flight_records.exists():
        FlightRecord.objects.create(
            job=job,
            order=order,
            mission=mission,
            drone_id=job.drone_id,
            kind="Winch",
            hub="Ridge",
            activity=Mission.Kind.DELIVERY,
            ended_at=timezone.now(),
            flights_total=1,
            seconds_total=60,
            outcome=JobStatus.COMPLETED,
        )


JOB, MISSION = "md5('job' || n)::uuid", "md5('mission' || n)::uuid"
OVER = {"live": "false", "over_at": "now()", "over_by": "'gcs'"}
COPIES: dict[type[Model], Changes] = {
    DeliveryJob: {
        "id": JOB,
        "attempt": "attempt + n",
        "status": "'FAILED'",
        "ended_at": "now()",
        "mission_intent_id": MISSION,
    },
    Mission: {"id": MISSION, **OVER},
    MissionPart: {"job_id": JOB, "mission_id": MISSION, "live": "false"},
    Clearance: {"mission_id": MISSION},
    PilotChange: {},
    FlightRecord: {"job_id": JOB},
    Discrepancy: {"job_id": JOB},
    Occurrence: {"happened_at": "happened_at + n * interval '1 minute'"},
    TrackPiece: {},
    DeliveryEvent: {},
    DispatchDecision: {},
    Note: {},
    Case: {"outcome": "'FOUND'", "closed_at": "now()"},
    WebhookDelivery: {},
    CustomerMessage: {"event_id": "1000000 + n"},
}


def copy_each(times: int) -> list[type[Model]]:
    """Returns the models of which there was a row to copy."""
    found = []
    for model, changes in COPIES.items():
        key = lists._key(model)
        for row in _to_copy(model):
            multiply(model, 1, times, {**key, **changes}, pk=row.pk)
            found.append(model)
    return found


def _to_copy(model: type[Model]) -> list[Model]:
    rows = list(model._default_manager.order_by("pk"))
    if model is Discrepancy:
        return rows[:2]  # one that stands, and one that is settled
    return rows[:1]


# --- the budget ----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ORDERS)
def test_page_and_poll_take_the_same_few_statements_for_any_number_of_rows(
    name: str, boss: Client
) -> None:
    order = ORDERS[name]()
    with_all_parts(order)
    seen()

    def statements(url: str) -> list[str]:
        boss.get(url)  # what is cached for all requests
        with CaptureQueriesContext(connection) as taken:
            answer = boss.get(url)
        assert answer.status_code == 200
        return [query["sql"][:200] for query in taken]

    page = actions.page_of(order)
    poll = reverse("admin:orders_order_live", args=[order.pk])
    before = {url: statements(url) for url in (page, poll)}
    sizes = {url: len(boss.get(url).content) for url in (page, poll)}
    copied = copy_each(MANY)
    if order.attempts:
        assert len(set(copied)) == len(COPIES)
    for url in (page, poll):
        after = statements(url)
        assert len(after) == len(before[url]) <= MOST, "\n".join(after)
        assert len(boss.get(url).content) > sizes[url] + 20 * MANY
