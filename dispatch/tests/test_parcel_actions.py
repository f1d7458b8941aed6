"""Ops' answers about a flight and its parcel, through the console's forms."""

from datetime import timedelta
from typing import Any

import pytest
import time_machine
from django.contrib.admin.models import LogEntry
from django.db import connection
from django.db.models import Model
from django.http import HttpResponse
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from pytest_django import Settings

from dispatch.console.orders import parcel_actions
from dispatch.missions import publishing, publishing_pause, recalls
from dispatch.models import Discrepancy, Mission, MissionPart, PublishingPause
from dispatch.tests import doubts
from dispatch.tests.doubts import aboard, astray, contradicted, held, stored
from fleet.models import Drone, DroneHold, Hub
from fleet.simulator.run import Simulator
from fleet.tests.factories import DroneFactory
from orders import lifecycle
from orders.models import Order
from orders.states import EventType, HoldCode, Holder, JobStatus, ReasonCode, Status
from orders.tests.factories import OrderFactory, order_in
from wingxtra.accounts.identity import GCS, Role
from wingxtra.accounts.tests.factories import UserFactory
from wingxtra.console import actions

pytestmark = pytest.mark.django_db
SURE = "I spoke to the customer."


def signed_in(role: Role = Role.OPS) -> Client:
    browser = Client()
    name = role.value.lower()
    browser.force_login(UserFactory(username=name, role=role, is_staff=True))
    return browser


@pytest.fixture
def browser() -> Client:
    return signed_in()


def address(name: str, *targets: Model) -> str:
    model = type(targets[0])
    return actions.button(model, name, *(target.pk for target in targets)).url


def act(browser: Client, name: str, *targets: Model, **data: Any) -> HttpResponse:
    """Open the action's page and submit its form, as in a browser."""
    url = address(name, *targets)
    shown = browser.get(url).context["targets"]
    tokens = {f"seen-{target.object.pk}": target.token for target in shown}
    return browser.post(url, {**tokens, **data}, follow=True)


def last_event(order: Order) -> tuple[str, str]:
    event = order.events.last()
    assert event is not None
    return event.type, event.actor


# --- where the parcel is -------------------------------------------------------------------------


@pytest.mark.parametrize("lost_sight", [astray, aboard])
def test_it_was_delivered(browser: Client, lost_sight: Any) -> None:
    order = lost_sight()
    act(browser, "delivered", order, note=SURE)
    assert (stored(order).status, stored(order).holder) == (Status.DELIVERED, Holder.RECIPIENT)
    assert last_event(order) == (EventType.DELIVERED, "user:ops")
    entry = LogEntry.objects.get()
    assert (entry.user.username, entry.object_id) == ("ops", str(order.pk))


def test_a_flight_without_a_seen_end_was_delivered(browser: Client) -> None:
    order = order_in(Status.ENROUTE)
    act(browser, "delivered", order, note=SURE)
    assert stored(order).status == Status.DELIVERED


def test_an_answer_needs_a_note(browser: Client) -> None:
    order = astray()
    for name in ("delivered", "never-left", "lost", "correct", "given-back"):
        act(browser, name, order, note=" ", received_by=" ")
    assert stored(order).hold_code == HoldCode.PARCEL_UNKNOWN


def test_a_failed_flight_asks_for_the_parcel_next(browser: Client) -> None:
    order = order_in(Status.ENROUTE)
    answer = act(browser, "failed", order, note="It lies in a field.")
    after = stored(order)
    assert (after.status, after.hold_code) == (Status.QUEUED, HoldCode.PARCEL_UNKNOWN)
    assert "Say now where its parcel is" in answer.content.decode()
    assert DroneHold.objects.standing().count() == 1


@pytest.mark.parametrize("lost_sight", [astray, aboard])
def test_it_is_at_a_hub_and_is_flown_from_there(browser: Client, lost_sight: Any) -> None:
    order = lost_sight()
    hub = Hub.objects.get()
    act(browser, "at-hub", order, hub=hub.pk, note="Shelf 2.")
    after = stored(order)
    assert (after.holder, after.holder_hub, after.hold_code) == (Holder.HUB, hub, "")
    assert after.flown_from == (hub.lat, hub.lng)


def test_it_never_left_the_sender(browser: Client) -> None:
    order = astray()
    act(browser, "never-left", order, note="It stands on the shop's table.")
    after = stored(order)
    assert (after.status, after.holder, after.hold_code) == (Status.QUEUED, Holder.SENDER, "")


def test_staff_contradict_a_reported_pickup_and_read_of_it_first(browser: Client) -> None:
    order = aboard()
    form = browser.get(address("never-left", order)).content.decode()
    assert f"that a drone picked up {order}. Ask the person who has the parcel in hand." in form
    act(browser, "never-left", order, note="It stands on the shop's table.")
    after = stored(order)
    assert (after.status, after.holder, after.hold_code) == (Status.QUEUED, Holder.SENDER, "")
    kept = list(order.events.values_list("type", flat=True))
    assert kept.index(EventType.PARCEL_LOADED) < kept.index(EventType.PARCEL_FOUND)


def test_the_form_names_the_person_who_reported_the_pickup(browser: Client) -> None:
    order = order_in(Status.ENROUTE)
    with time_machine.travel(timezone.now() + timedelta(minutes=1), tick=False):
        at = timezone.now()
        lifecycle.loaded(order.pk, by=UserFactory(username="kofi").actor)
        lifecycle.mission_over(
            order.pk, ended=JobStatus.FAILED, by=GCS, why="Motor 3.", max_attempts=3
        )
    form = browser.get(address("never-left", order)).content.decode()
    assert f"kofi reported on {at:%-d %b at %H:%M}" in form


def test_the_form_of_many_orders_reads_their_pickups_once(browser: Client) -> None:
    url = address("never-left", *[aboard() for _ in range(3)])
    with CaptureQueriesContext(connection) as asked:
        page = browser.get(url).content.decode()
    assert page.count("Ground control reported on") == 3
    assert sum("PARCEL_FOUND" in one["sql"] for one in asked) == 1


def test_it_goes_back_to_the_sender(browser: Client) -> None:
    order = aboard()
    act(browser, "given-back", order, received_by="Market, till 3")
    after = stored(order)
    assert (after.status, after.holder) == (Status.FAILED, Holder.RETURNED)
    assert after.reason_code == ReasonCode.RETURNED_TO_SENDER
    event = order.events.get(type=EventType.PARCEL_RETURNED)
    assert (event.message, event.actor) == ("Back with the sender: Market, till 3", "user:ops")


def test_a_parcel_at_a_hub_goes_back_to_its_sender(browser: Client) -> None:
    order = astray()
    lifecycle.unloaded(order.pk, Hub.objects.get().pk, by=GCS)
    act(browser, "given-back", order, received_by="Market, till 3")
    assert stored(order).holder == Holder.RETURNED


def test_it_is_lost(browser: Client) -> None:
    order = astray()
    act(browser, "lost", order, note="The drone sank in the lagoon.")
    after = stored(order)
    assert (after.status, after.holder, after.reason_code) == (
        Status.FAILED,
        Holder.LOST,
        ReasonCode.LOST,
    )


def test_after_a_contradiction_it_is_flown_from_where_it_is(browser: Client) -> None:
    order = contradicted()
    act(browser, "never-left", order, note="The first drone never left.")
    assert (stored(order).status, stored(order).hold_code) == (Status.QUEUED, "")
    assert Order.objects.dispatchable().filter(pk=order.pk).exists()


def test_an_order_that_waits_for_an_answer_gets_no_drone(browser: Client) -> None:
    order = astray()
    drone = DroneFactory()
    answer = act(browser, "assign", order, drone_id=drone.pk).content.decode()
    assert "It is not known where the parcel is. Answer that first." in answer
    page = browser.get(actions.page_of(order)).content.decode()
    for words in ("Assign…", "Dispatch now…", "Reschedule…"):
        assert words not in page
    assert "Cancel the order…" in page
    assert stored(order).status == Status.QUEUED


# --- before and after ----------------------------------------------------------------------------


def test_a_parcel_is_ready_and_then_loaded(browser: Client) -> None:
    order = order_in(Status.ASSIGNED)
    act(browser, "ready", order)
    assert stored(order).parcel_ready_at is not None
    act(browser, "loaded", order)
    after = stored(order)
    assert (after.holder, after.holder_drone_id) == (Holder.DRONE, after.assigned_drone_id)


def test_an_outcome_is_corrected_both_ways(browser: Client) -> None:
    order = order_in(Status.DELIVERED)
    act(browser, "correct", order, outcome="FAILED", reason="CUSTOMER_ABSENT", note=SURE)
    after = stored(order)
    assert (after.status, after.reason_code) == (Status.FAILED, ReasonCode.CUSTOMER_ABSENT)
    assert after.holder == Holder.UNKNOWN
    act(browser, "correct", order, outcome="DELIVERED", reason="", note="The neighbour has it.")
    assert (stored(order).status, stored(order).holder) == (Status.DELIVERED, Holder.RECIPIENT)


def test_a_failure_needs_its_reason(browser: Client) -> None:
    order = order_in(Status.DELIVERED)
    answer = act(browser, "correct", order, outcome="FAILED", reason="", note=SURE)
    assert "Choose why it was not delivered" in answer.content.decode()
    assert stored(order).status == Status.DELIVERED


def test_ops_confirm_that_a_mission_is_over(browser: Client) -> None:
    part = doubts.not_over()
    act(browser, "mission-over", part.order, note="It stands in the hangar.")
    mission = Mission.objects.get(pk=part.mission_id)
    assert (mission.over_by, mission.over_because) == ("user:ops", "It stands in the hangar.")
    assert not MissionPart.objects.live().exists()


def test_a_discrepancy_is_settled_with_a_note(browser: Client) -> None:
    doubt = doubts.doubtful(Discrepancy.Code.FAILED_AFTER_DELIVERY)
    act(browser, "settle", doubt, note="Both were right: it failed on its way home.")
    doubt = Discrepancy.objects.get()
    assert doubt.settled_by == "user:ops"
    assert doubt.settlement == "Both were right: it failed on its way home."
    again = act(browser, "settle", doubt, note="Once more.").content.decode()
    assert "It is settled already." in again


def test_resumed_publishing_starts_with_the_oldest_mission(browser: Client) -> None:
    order_in(Status.ASSIGNED)
    pause = PublishingPause.objects.create(because="422 alt_datum", refused=3)
    act(browser, "resume", pause)
    assert publishing_pause.current() is None
    assert PublishingPause.objects.get().ended_by == "user:ops"
    mission = Mission.objects.get()
    assert mission.next_try_at == mission.created_at


def test_many_drones_are_released_at_once(browser: Client) -> None:
    drones = [DroneFactory() for _ in range(4)]
    for drone in drones:
        held(drone.pk)
    page = act(browser, "release", *drones, note="The radio was down; all stand at the hub.")
    assert "4 of 4 done" in page.content.decode()
    assert not DroneHold.objects.standing().exists()
    assert {hold.released_by for hold in DroneHold.objects.all()} == {"user:ops"}


def test_a_drone_is_not_released_without_a_note(browser: Client) -> None:
    drone = DroneFactory()
    held(drone.pk)
    act(browser, "release", drone, note="")
    assert DroneHold.objects.standing().count() == 1


# --- a silent bridge -----------------------------------------------------------------------------


@pytest.fixture
def no_route(bridge: Simulator, settings: Settings) -> None:
    """A bridge without a withdrawal route that answers with a framework's 404."""
    settings.GCS_BRIDGE_URL = f"{bridge.url}/elsewhere"


@pytest.mark.parametrize(
    ("name", "data", "becomes"),
    [
        ("cancel", {"reason": "OTHER"}, Status.CANCELED),
        ("requeue", {"reason": "Storm."}, Status.QUEUED),
    ],
)
def test_ops_override_a_bridge_that_confirms_nothing(
    browser: Client, no_route: None, name: str, data: dict[str, str], becomes: Status
) -> None:
    order = order_in(Status.ASSIGNED)
    MissionPart.objects.filter(order=order).update(live=True)
    Mission.objects.filter(parts__order=order).update(tries=1)
    refused = act(browser, name, order, **data, override="").content.decode()
    assert "It says nothing about the mission" in refused
    assert stored(order).status == Status.ASSIGNED
    done = act(browser, name, order, **data, override="It stands on pad 2, disarmed.")
    assert stored(order).status == becomes
    assert "where its parcel is" in done.content.decode()
    mission = Mission.objects.get()
    assert (mission.over_by, mission.over_because) == ("user:ops", "It stands on pad 2, disarmed.")


def test_another_time_is_refused_while_the_parcel_may_have_flown(
    browser: Client, no_route: None
) -> None:
    """An order that waits for another day cannot be delivered, returned or lost."""
    order = order_in(Status.ASSIGNED)
    MissionPart.objects.filter(order=order).update(live=True)
    Mission.objects.filter(parts__order=order).update(tries=1)
    start = timezone.now() + timedelta(days=1)
    window = {"not_before": start, "deliver_by": start + timedelta(hours=1)}
    data = {name: f"{at:%Y-%m-%dT%H:%M}" for name, at in window.items()}
    said = {"reason": "Storm.", "override": "It stands on pad 2, disarmed."}
    answer = act(browser, "reschedule", order, **data, **said).content.decode()
    assert "it may have flown" in answer
    recalls.sweep_abandoned(publishing.claim_end(timezone.now()))
    after = stored(order)
    assert (after.hold_code, after.not_before) == (HoldCode.PARCEL_UNKNOWN, None)
    act(browser, "delivered", order, note=SURE)
    assert stored(order).status == Status.DELIVERED


# --- permissions and states ----------------------------------------------------------------------

NEVER = (OrderFactory, lambda: order_in(Status.CANCELED))
NAMES = [action.name for action in parcel_actions.ACTIONS if action.model is Order]


@pytest.mark.parametrize("name", sorted(set(NAMES) - {"ready"}))
def test_an_order_without_doubts_refuses_answers(browser: Client, name: str) -> None:
    for make in NEVER:
        order = make()
        before = stored(order).__dict__ | {"_state": None}
        act(browser, name, order, note=SURE, received_by="x", outcome="FAILED", reason="OTHER")
        assert stored(order).__dict__ | {"_state": None} == before


@pytest.mark.parametrize("name", NAMES)
def test_opening_an_answers_form_changes_nothing(browser: Client, name: str) -> None:
    order = astray()
    before = list(Order.objects.values())
    assert browser.get(address(name, order)).status_code == 200
    assert list(Order.objects.values()) == before
    assert not LogEntry.objects.exists()


@pytest.mark.parametrize("role", [Role.READONLY, Role.OPS, Role.ADMIN])
def test_answers_are_for_operations(role: Role) -> None:
    order, drone = astray(), Drone.objects.get()
    pause = PublishingPause.objects.create(because="422", refused=3)
    browser = signed_in(role)
    allowed = role != Role.READONLY
    for target, name in ((order, "lost"), (drone, "release"), (pause, "resume")):
        url = address(name, target)
        assert browser.get(url).status_code == (200 if allowed else 403)
        if not allowed:
            assert browser.post(url, {"note": SURE}).status_code == 403
    assert stored(order).hold_code == HoldCode.PARCEL_UNKNOWN


def test_a_read_only_user_sees_the_question_without_buttons_and_names() -> None:
    order = astray()
    page = signed_in(Role.READONLY).get(actions.page_of(order)).content.decode()
    assert "It is not known where the parcel is" in page
    assert "It was delivered…" not in page
    assert order.customer_name not in page


def test_answers_are_on_top_of_the_page(browser: Client) -> None:
    order = aboard()
    page = browser.get(actions.page_of(order)).content.decode()
    question, _, rest = page.partition('aria-label="Answers"')
    assert "The parcel is on a drone whose flight is over" in question
    answers, _, others = rest.partition("</nav>")
    for words in (
        "It was delivered…",
        "It is at a hub…",
        "It never left the sender…",
        "It is lost",
    ):
        assert words in answers
        assert words not in others
    assert f"On {order.holder_drone_id}" in page


def test_orders_are_found_by_holder_and_by_hold(browser: Client) -> None:
    order, other = astray(), OrderFactory()
    for query in ("hold=any", "hold=PARCEL_UNKNOWN", "holder__exact=UNKNOWN", "tab=attention"):
        page = browser.get(f"/admin/orders/order/?{query}").content.decode()
        assert str(order) in page, query
        assert str(other) not in page, query
    assert str(order) not in browser.get("/admin/orders/order/?hold=PARCEL_ABOARD").content.decode()


def test_a_drones_page_shows_its_holds_and_who_released_them(browser: Client) -> None:
    drone = DroneFactory()
    held(drone.pk)
    act(browser, "release", drone, note="Looked at in the workshop.")
    held(drone.pk)
    page = browser.get(actions.page_of(drone)).content.decode()
    assert "It landed in a field." in page
    assert "by ops: Looked at in the workshop." in page
    assert "Release from hold…" in page
    rows = browser.get("/admin/fleet/drone/?readiness=ON_HOLD").content.decode()
    assert drone.pk in rows
    history = browser.get("/admin/fleet/dronehold/").content.decode()
    assert "It landed away from every hub" in history
    assert "LANDED_AWAY</" not in history
