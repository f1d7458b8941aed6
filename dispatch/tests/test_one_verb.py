"""A request writes the same by API, console and GCS page; a refused one writes nothing."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone
from rest_framework.test import APIClient

from dispatch.missions import before_launch, publishing, recalls
from dispatch.models import Mission
from dispatch.tests.doubts import astray
from dispatch.tests.support import assigned, mission_of, stored, submitted, timeline
from dispatch.tests.test_admin_actions import act
from fleet.simulator.run import Simulator
from fleet.tests.factories import DroneFactory, GeoZoneFactory, square
from orders import lifecycle
from orders.models import Order
from orders.states import PodRequirement, Status
from orders.tests.factories import OrderFactory, order_in
from pod import codes
from pod.models import ProofOfDelivery
from wingxtra.accounts.identity import SYSTEM, Role
from wingxtra.accounts.tests.factories import UserFactory, api_client, key_client
from wingxtra.problems import Conflict

pytestmark = pytest.mark.django_db

# Values that differ between two equal requests.
OWN = {"id", "public_tracking_id", "merchant_id", "current_job_id", "holder_drone_id"}
OWN |= {"created_at", "updated_at", "last_step_at", "delivered_at", "holder_since", "hold_since"}
OWN |= {"proof_at", "proof_awaited_since", "proof_missed_at"}


@dataclass
class Doors:
    """One operator on the API, the console and the GCS page."""

    api: APIClient
    console: Client
    gcs: APIClient = field(default_factory=lambda: key_client(name="page", role=Role.OPS))

    def post(self, order: Order, verb: str, body: dict[str, Any]) -> dict[str, Any]:
        answer = self.api.post(f"/api/v1/orders/{order.pk}/{verb}", body, format="json")
        assert answer.status_code in (200, 201), answer.content
        return dict(answer.json())

    def patch(self, order: Order, body: dict[str, Any]) -> dict[str, Any]:
        answer = self.api.patch(f"/api/v1/orders/{order.pk}", body, format="json")
        assert answer.status_code == 200, answer.content
        return dict(answer.json())

    def act(self, order: Order, name: str, **data: Any) -> str:
        return act(self.console, name, order, **data).content.decode()


@pytest.fixture
def doors() -> Doors:
    ama = UserFactory(username="ama", ops=True)
    browser = Client()
    browser.force_login(ama)
    return Doors(api_client(ama), browser)


@dataclass
class Written:
    """The effect of a request: events, order, attempts."""

    events: list[tuple[str, str, dict[str, Any]]]
    order: dict[str, Any]
    jobs: list[tuple[str, str]]


def written(order: Order, do: Callable[[], object]) -> Written:
    before = order.events.count()
    do()
    after = stored(order)
    names = {column.attname for column in Order._meta.concrete_fields} - OWN
    return Written(
        [(event.type, event.message, event.payload) for event in order.events.all()[before:]],
        {name: getattr(after, name) for name in names},
        list(order.jobs.values_list("status", "ended_because")),
    )


def at_the_bridge(bridge: Simulator, **attributes: Any) -> tuple[Order, Mission]:
    """An ASSIGNED order whose mission reached ground control, with the answer lost."""
    bridge.fault("bridge_500", times=1, after=True)
    order, mission = assigned(**attributes)
    publishing.publish(mission.pk)
    assert stored(order).status == Status.ASSIGNED
    return order, mission_of(order)


# --- cancel --------------------------------------------------------------------------------------


def test_a_cancel_writes_the_same_by_every_interface(doors: Doors, bridge: Simulator) -> None:
    end = timezone.now() + timedelta(hours=1)
    note = "On the GCS's Delivery page."
    body = {"reason": "OTHER", "note": note}

    def canceled(door: Callable[[Order], object]) -> Written:
        order, mission = submitted(deliver_by=end)
        result = written(order, lambda: door(order))
        mission.refresh_from_db()
        assert (mission.state, mission.recall_state) == ("WITHDRAWN", "DONE")
        return result

    by_api = canceled(lambda order: doors.post(order, "cancel", body))
    by_console = canceled(lambda order: doors.act(order, "cancel", **body))
    by_gcs = canceled(lambda order: doors.gcs.post(f"/gcs/orders/{order.pk}/cancel"))

    assert by_api == by_console == by_gcs
    assert [event[0] for event in by_api.events] == ["CANCELED"]
    assert by_api.order["cancel_note"] == note


# --- reschedule ----------------------------------------------------------------------------------


def window() -> tuple[datetime, datetime]:
    start = (timezone.now() + timedelta(hours=2)).replace(second=0, microsecond=0)
    return start, start + timedelta(hours=1)


def as_body(not_before: datetime | None, deliver_by: datetime) -> dict[str, Any]:
    starts = not_before and not_before.isoformat()
    return {"not_before": starts, "deliver_by": deliver_by.isoformat()}


def as_form(not_before: datetime | None, deliver_by: datetime) -> dict[str, Any]:
    starts = f"{not_before:%Y-%m-%dT%H:%M}" if not_before else ""
    return {
        "not_before": starts,
        "deliver_by": f"{deliver_by:%Y-%m-%dT%H:%M}",
        "reason": "A new time was agreed.",
    }


def test_a_reschedule_writes_the_same_by_every_interface(doors: Doors, bridge: Simulator) -> None:
    times = window()

    def rescheduled(door: Callable[[Order], object]) -> Written:
        order, mission = at_the_bridge(bridge)
        result = written(order, lambda: door(order))
        mission.refresh_from_db()
        assert (mission.state, mission.recall_state) == ("WITHDRAWN", "DONE")
        return result

    by_api = rescheduled(lambda order: doors.post(order, "reschedule", as_body(*times)))
    by_console = rescheduled(lambda order: doors.act(order, "reschedule", **as_form(*times)))

    assert by_api == by_console
    assert [event[0] for event in by_api.events] == ["RESCHEDULED"]
    assert (by_api.order["not_before"], by_api.order["deliver_by"]) == times
    assert {mission["status"] for mission in bridge.missions()} == {"WITHDRAWN"}


@pytest.mark.parametrize("status", [Status.VALIDATED, Status.QUEUED, Status.ASSIGNED])
def test_an_unchanged_window_changes_nothing(
    doors: Doors, bridge: Simulator, status: Status
) -> None:
    DroneFactory()
    order = order_in(status)
    before, same = stored(order), (order.not_before, order.deliver_by)

    shown = doors.post(order, "reschedule", as_body(*same))
    # The form shows minutes and submits them unchanged.
    page = doors.act(order, "reschedule", **as_form(*same))

    assert shown["status"] == status
    assert "has that window already; nothing was changed" in page
    assert order.events.last().type == before.events.last().type
    assert (stored(order).updated_at, stored(order).current_job) == (
        before.updated_at,
        before.current_job,
    )


REFUSALS: dict[str, Callable[[Order, Simulator], None]] = {
    "a no-fly zone": lambda order, bridge: zone_over(order),
    "a silent bridge": lambda order, bridge: bridge.fault("bridge_down"),
    "a launch": lambda order, bridge: bridge.advance(20),
}


def zone_over(order: Order) -> None:
    GeoZoneFactory(polygon=square(order.dropoff_lat, order.dropoff_lng, 500))


@pytest.mark.parametrize("refusal", REFUSALS)
@pytest.mark.parametrize("by_api", [True, False])
def test_a_refused_reschedule_changes_nothing(
    doors: Doors, bridge: Simulator, refusal: str, by_api: bool
) -> None:
    order, mission = at_the_bridge(bridge)
    status = bridge.missions()[0]["status"]
    REFUSALS[refusal](order, bridge)
    before = stored(order).__dict__ | {"_state": None}

    def ask() -> None:
        if by_api:
            path = f"/api/v1/orders/{order.pk}/reschedule"
            answer = doors.api.post(path, as_body(*window()), format="json")
            assert answer.status_code in (400, 409, 503)
        else:
            doors.act(order, "reschedule", **as_form(*window()), override="")

    assert written(order, ask).events == []
    after = stored(order)
    assert after.__dict__ | {"_state": None} == before
    assert after.current_job is not None
    assert after.current_job.status == "ACTIVE"
    mission.refresh_from_db()
    assert (mission.state, mission.recall_state, mission.over_at) == ("PENDING", "", None)
    if refusal == "a no-fly zone":
        assert mission.recall_refused_at is None
        assert bridge.missions()[0]["status"] == status


def test_an_order_on_hold_is_not_rescheduled(doors: Doors) -> None:
    order = astray()
    before = timeline(order)

    path = f"/api/v1/orders/{order.pk}/reschedule"
    answer = doors.api.post(path, as_body(*window()), format="json")

    assert (answer.status_code, answer.json()["code"]) == (409, "order_on_hold")
    assert timeline(order) == before


def taken_over(monkeypatch: pytest.MonkeyPatch, order: Order, times: int) -> list[object]:
    """Reassign the order this many times, right after its mission is withdrawn."""
    withdraw_mission, withdrawn = recalls.withdraw_mission, []

    def and_then(*arguments: Any, **more: Any) -> Any:
        withdrawn.append(withdraw_mission(*arguments, **more))
        if len(withdrawn) <= times:
            lifecycle.reassign(order.pk, DroneFactory().pk, by=SYSTEM, why="Nearer.")
        return withdrawn[-1]

    monkeypatch.setattr(recalls, "withdraw_mission", and_then)
    return withdrawn


def test_a_drone_that_takes_over_after_the_withdrawal_is_withdrawn_too(
    bridge: Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    order, _ = at_the_bridge(bridge)
    withdrawn = taken_over(monkeypatch, order, times=1)

    start, end = window()
    done = before_launch.reschedule(order.pk, not_before=start, deliver_by=end, by=SYSTEM)

    assert done.changed
    assert withdrawn == list(order.jobs.order_by("attempt").values_list("pk", flat=True))
    assert {job.status for job in order.jobs.all()} == {"CANCELED"}


def test_an_order_reassigned_on_every_retry_is_busy_and_keeps_its_drone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    order = order_in(Status.ASSIGNED)
    taken_over(monkeypatch, order, times=before_launch.MAX_TRIES)

    with pytest.raises(Conflict) as refused:
        before_launch.requeue(order.pk, by=SYSTEM, why="Not packed.")

    assert refused.value.code == "order_busy"
    assert stored(order).status == Status.ASSIGNED


# --- the drop point ------------------------------------------------------------------------------


def test_moving_the_drop_point_writes_the_same_by_every_interface(doors: Doors) -> None:
    DroneFactory()
    there = {"dropoff_lat": 5.62, "dropoff_lng": -0.18}
    end = timezone.now() + timedelta(hours=1)

    first, second = (OrderFactory(deliver_by=end) for _ in range(2))
    by_api = written(first, lambda: doors.patch(first, there))
    by_console = written(
        second, lambda: doors.act(second, "move-drop", **there, reason="Side gate.")
    )

    assert by_api.order == by_console.order
    about = {"moved_m": 784, "source": "OPS"}
    words = "The drop point was moved by 784 m"
    assert by_api.events == [("DROPOFF_CHANGED", f"{words}.", about)]
    assert by_console.events == [("DROPOFF_CHANGED", f"{words}: Side gate.", about)]


def test_an_unmoved_pin_writes_nothing(doors: Doors) -> None:
    order = OrderFactory(dropoff_accuracy_m=12)
    merchant = Doors(api_client(UserFactory(merchant=order.merchant)), doors.console)
    # A browser writes seven decimals.
    there = {"dropoff_lat": order.dropoff_lat + 4e-8, "dropoff_lng": order.dropoff_lng}
    before = stored(order)

    shown = [door.patch(order, there)["dropoff_accuracy_m"] for door in (doors, merchant)]
    page = doors.act(order, "move-drop", **there, reason="Side gate.")

    assert shown == [12, 12]
    assert "is there already; nothing was changed" in page
    assert timeline(order) == ["CREATED", "VALIDATED", "QUEUED"]
    assert stored(order).updated_at == before.updated_at
    assert stored(order).dropoff_source == before.dropoff_source


def test_a_better_source_of_the_same_place_is_no_move(doors: Doors) -> None:
    order = OrderFactory(dropoff_accuracy_m=12)

    result = written(order, lambda: doors.patch(order, {"dropoff_accuracy_m": 4}))

    about = {"fields": ["dropoff_accuracy_m"]}
    assert result.events == [("DETAILS_CHANGED", "The drop point is known to 4 m.", about)]
    assert result.order["dropoff_accuracy_m"] == 4
    poor = doors.api.patch(f"/api/v1/orders/{order.pk}", {"dropoff_accuracy_m": 400})
    assert poor.json()["errors"][0]["code"] == "dropoff_too_inaccurate"
    assert stored(order).dropoff_accuracy_m == 4


# --- confirm -------------------------------------------------------------------------------------


def test_a_confirmation_writes_the_same_by_every_interface(doors: Doors) -> None:
    end, note = timezone.now() + timedelta(hours=1), "Rang her."
    needed: dict[str, Any] = {
        "pod_requirement": PodRequirement.OPERATOR_CONFIRM,
        "deliver_by": end,
    }
    first, second = (order_in(Status.ARRIVED, **needed) for _ in range(2))
    body = {"method": "OPERATOR_CONFIRM", "operator_name": "ama", "note": note}

    by_api = written(first, lambda: doors.post(first, "pod", body))
    by_console = written(second, lambda: doors.act(second, "confirm", note=note))

    assert by_api == by_console
    assert [event[0] for event in by_api.events] == ["DELIVERING", "DELIVERED", "PROOF_RECORDED"]
    assert not by_api.order["proof_missing"]
    columns = ("method", "confirmed_by", "note", "recorded_by", "fingerprint")
    stored_rows = ProofOfDelivery.objects.filter(order__in=(first, second)).values_list(*columns)
    assert len(stored_rows) == 2
    assert stored_rows[0] == stored_rows[1]


def test_a_code_set_by_api_is_checked_at_the_hand_over(doors: Doors) -> None:
    order = order_in(Status.DELIVERING, pod_requirement=PodRequirement.OTP)
    code = codes.renew(order.pk, by=SYSTEM)
    body = {"method": "OTP", "otp_code": code}

    result = written(order, lambda: doors.post(order, "pod", body))

    assert [event[0] for event in result.events] == ["DELIVERED", "PROOF_RECORDED"]


def test_a_confirmed_delivery_writes_the_same_by_every_interface(doors: Doors) -> None:
    note = "The neighbour has it."
    first, second = astray(), astray()

    body = {"outcome": "DELIVERED", "note": note}
    by_api = written(first, lambda: doors.post(first, "correct", body))
    by_console = written(second, lambda: doors.act(second, "delivered", note=note))

    assert by_api.events == by_console.events
    assert [event[:2] for event in by_api.events] == [("DELIVERED", note)]
    assert by_api.jobs == by_console.jobs


def test_a_correction_writes_the_same_by_every_interface(doors: Doors) -> None:
    end, note = timezone.now() + timedelta(hours=1), "It lies in the yard."
    first, second = (order_in(Status.DELIVERED, deliver_by=end) for _ in range(2))

    body = {"outcome": "FAILED", "note": note, "reason_code": "WEATHER"}
    by_api = written(first, lambda: doors.post(first, "correct", body))
    form = {"outcome": "FAILED", "note": note, "reason": "WEATHER"}
    by_console = written(second, lambda: doors.act(second, "correct", **form))

    assert by_api == by_console
    assert [event[0] for event in by_api.events] == ["CORRECTED", "PARCEL_UNKNOWN"]
