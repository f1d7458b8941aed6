"""The public view: the headline of each status, custody, doubts, privacy."""

import math
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleet.policy import Policy
from orders.promises.memory import InLine
from orders.states import IN_FLIGHT, TERMINAL, CancelReason, EventType, Holder, Status, WhyHeldUp
from orders.tracking_ids import TRACKING_ALPHABET, canonical_id, new_tracking_id
from pod.models import METHODS
from tracking.page import page_context, public, texts
from tracking.page.public import STAGES

NOW = datetime(2026, 3, 3, 14, 0, 0, 123456, tzinfo=UTC)
LINK_LOST_AFTER_S = Policy().rules().link_lost_after_s
SHAPE = {
    "public_tracking_id",
    "external_id",
    "status",
    "headline",
    "milestones",
    "timeline",
    "custody",
    "queue",
    "eta_range",
    "eta_seconds",
    "eta_at",
    "opens_at",
    "position",
    "dropoff",
    "drone",
    "pod_summary",
    "updated_at",
}
LAT, LNG = 5.6151234567, -0.1751234567


def fields(status: Status, **changes: Any) -> public.OrderFields:
    return replace(
        public.OrderFields(
            public_tracking_id="7Q2KM9XW4TZ1H",
            status=status,
            not_before=None,
            deliver_by=NOW + timedelta(hours=1),
            eta_at=None,
            cancel_reason="",
            paused=False,
            dropoff_lat=LAT,
            dropoff_lng=LNG,
            proof_method=None,
            proof_at=None,
            updated_at=NOW,
        ),
        **changes,
    )


def log_of(*types: EventType) -> list[public.LogEntry]:
    start = NOW - timedelta(minutes=len(types))
    return [public.LogEntry(kind, start + timedelta(minutes=i)) for i, kind in enumerate(types)]


def sample(age_s: float = 1, lat: float | None = LAT) -> public.DroneSample:
    return public.DroneSample(age_s, lat, LNG, 87.0, NOW - timedelta(seconds=1))


def view(
    order: public.OrderFields, *types: EventType, drone: public.DroneSample | None = None
) -> dict[str, Any]:
    shown, _ = public.view(order, log_of(*types), drone, LINK_LOST_AFTER_S, NOW)
    return shown


def test_the_shape_is_the_same_in_every_state() -> None:
    for status in Status:
        assert set(view(fields(status), *EventType, drone=sample())) == SHAPE


@pytest.mark.parametrize(
    ("status", "changes", "headline"),
    [
        (Status.CREATED, {}, "We have your order"),
        (Status.VALIDATED, {}, "We have your order"),
        (
            Status.VALIDATED,
            {"not_before": NOW + timedelta(days=1), "deliver_by": NOW + timedelta(days=2)},
            "Scheduled for Wednesday, 04 March, 14:00 UTC",
        ),
        (Status.QUEUED, {}, "Waiting for a drone"),
        (Status.QUEUED, {"deliver_by": NOW - timedelta(seconds=1)}, "Delayed: waiting for a drone"),
        (
            Status.QUEUED,
            {"opens_at": NOW + timedelta(hours=18), "deliver_by": NOW + timedelta(days=1)},
            "Closed now, it goes on from Wednesday, 04 March, 08:00 UTC",
        ),
        (
            Status.QUEUED,
            {"opens_at": NOW + timedelta(hours=18)},
            "Delayed: closed now, it goes on from Wednesday, 04 March, 08:00 UTC",
        ),
        (
            Status.QUEUED,
            {"opens_at": NOW + timedelta(hours=18), "paused": True},
            "Waiting for a drone",
        ),
        (Status.ASSIGNED, {}, "Your drone is getting ready"),
        (
            Status.ASSIGNED,
            {"eta_at": NOW + timedelta(seconds=601)},
            "Your drone is getting ready, about 11 minutes",
        ),
        (Status.MISSION_SUBMITTED, {}, "Your drone is getting ready"),
        (Status.LAUNCHED, {}, "Your drone has taken off"),
        (Status.ENROUTE, {"eta_at": NOW + timedelta(minutes=4)}, "On its way, about 4 minutes"),
        (Status.ENROUTE, {"eta_at": NOW + timedelta(seconds=1)}, "On its way, about a minute"),
        (Status.ENROUTE, {"eta_at": NOW - timedelta(seconds=9)}, "On its way, any moment now"),
        (
            Status.ENROUTE,
            {"eta_at": NOW + timedelta(minutes=61)},
            "Delayed: on its way, about 61 minutes",
        ),
        (Status.ARRIVED, {"eta_at": NOW}, "Your drone is here"),
        (Status.DELIVERING, {}, "Your parcel is coming down"),
        (Status.DELIVERED, {"deliver_by": NOW - timedelta(hours=1)}, "Delivered"),
        (Status.CANCELED, {"cancel_reason": CancelReason.OTHER}, "Canceled"),
        (
            Status.CANCELED,
            {"cancel_reason": CancelReason.WEATHER},
            "Canceled because of the weather",
        ),
        (Status.FAILED, {}, "We could not deliver this order"),
        (Status.ABORTED, {}, "We could not deliver this order"),
    ],
)
def test_each_status_has_a_headline(status: Status, changes: dict[str, Any], headline: str) -> None:
    assert view(fields(status, **changes))["headline"] == headline


SPOT = InLine(3, 12, NOW + timedelta(minutes=5), NOW + timedelta(minutes=20))


def test_an_order_in_line_has_its_place_and_a_range() -> None:
    shown = view(fields(Status.QUEUED, spot=SPOT))
    assert shown["queue"] == {"place": 3}
    assert shown["eta_range"] == {"low": "2026-03-03T14:05:00Z", "high": "2026-03-03T14:20:00Z"}
    assert (shown["eta_seconds"], shown["eta_at"]) == (None, None)


@pytest.mark.parametrize(
    "changes",
    [
        {"spot": None},
        {"opens_at": NOW + timedelta(hours=18)},  # closed since the forecast was made
        {"paused": True},
        {"doubted": True},
        {"holder": Holder.UNKNOWN},
        {"spot": InLine(None, 12, because=WhyHeldUp.NO_DRONE)},
        {"spot": replace(SPOT, high_at=NOW - timedelta(seconds=1))},  # the forecast has passed
    ],
)
def test_what_is_not_believed_has_no_range(changes: dict[str, Any]) -> None:
    shown = view(fields(Status.QUEUED, **{"spot": SPOT, **changes}))
    assert shown["eta_range"] is None


@pytest.mark.parametrize("status", [s for s in Status if s != Status.QUEUED])
def test_only_a_queued_order_is_in_line(status: Status) -> None:
    shown = view(fields(status, spot=SPOT))
    assert (shown["queue"], shown["eta_range"]) == (None, None)


def test_an_order_that_is_expected_after_its_promise_is_delayed() -> None:
    in_time = fields(Status.QUEUED, spot=SPOT, deliver_by=NOW + timedelta(minutes=6))
    late = replace(in_time, deliver_by=NOW + timedelta(minutes=4))
    assert view(in_time)["headline"] == "Waiting for a drone"
    assert view(late)["headline"] == "Delayed: waiting for a drone"


FLOWN = (
    EventType.CREATED,
    EventType.VALIDATED,
    EventType.QUEUED,
    EventType.ASSIGNED,
    EventType.MISSION_SUBMITTED,
    EventType.LAUNCHED,
)


def test_a_requeued_order_says_so_and_resets_its_milestones() -> None:
    shown = view(fields(Status.QUEUED), *FLOWN, EventType.REQUEUED)

    assert shown["headline"] == "We are sending another drone"
    assert shown["milestones"] == ["CREATED", "QUEUED"]
    assert [entry["label"] for entry in shown["timeline"]] == [
        "Order received",
        "Waiting for a drone",
        "Drone getting ready",
        "Taken off",
        "We are sending another drone",
    ]


# --- custody and doubts --------------------------------------------------------------------------


def held(holder: Holder) -> tuple[public.OrderFields, list[public.LogEntry]]:
    order = fields(Status.QUEUED, holder=holder, doubted=True, eta_at=NOW + timedelta(minutes=4))
    back = public.LogEntry(EventType.REQUEUED, NOW, held=True)
    return order, [*log_of(*FLOWN, EventType.PARCEL_LOADED), back]


@pytest.mark.parametrize(
    ("holder", "headline"),
    [
        (Holder.DRONE, "We are checking your delivery"),
        (Holder.UNKNOWN, "We are looking for your parcel"),
        (Holder.SENDER, "We are checking your delivery"),
    ],
)
def test_an_order_on_hold_promises_no_other_drone(holder: Holder, headline: str) -> None:
    order, log = held(holder)
    shown, situation = public.view(order, log, None, LINK_LOST_AFTER_S, NOW)

    assert shown["headline"] == headline
    assert shown["timeline"][-1]["label"] == "We are checking what happened"
    assert "another drone" not in str(shown) + texts.advice(situation)
    assert (shown["eta_seconds"], shown["position"]) == (None, None)


def test_a_parcel_at_a_hub_is_shown_there() -> None:
    shown = view(fields(Status.QUEUED, holder=Holder.HUB), *FLOWN, EventType.PARCEL_UNLOADED)

    assert shown["headline"] == "Your parcel is back at our hub"
    assert shown["custody"]["label"] == "Your parcel is back at our hub"
    assert shown["timeline"][-1]["label"] == "Your parcel is back at our hub"


def test_after_the_hold_another_drone_is_announced() -> None:
    _, log = held(Holder.SENDER)
    shown, _ = public.view(fields(Status.QUEUED), log, None, LINK_LOST_AFTER_S, NOW)

    assert shown["headline"] == "We are sending another drone"


@pytest.mark.parametrize("status", IN_FLIGHT)
@pytest.mark.parametrize("why", [{"doubted": True}, {"holder": Holder.UNKNOWN}], ids=repr)
def test_a_flight_in_doubt_hides_eta_and_position(status: Status, why: dict[str, Any]) -> None:
    shown = view(fields(status, eta_at=NOW + timedelta(minutes=4), **why), *FLOWN, drone=sample())

    assert (shown["eta_seconds"], shown["eta_at"], shown["position"]) == (None, None, None)
    assert "minutes" not in shown["headline"]
    assert shown["headline"].startswith("We are")


@pytest.mark.parametrize("holder", Holder)
def test_custody_has_a_label(holder: Holder) -> None:
    shown = view(fields(Status.FAILED, holder=holder, holder_since=NOW))["custody"]

    assert (shown["holder"], shown["since"]) == (holder, "2026-03-03T14:00:00Z")
    assert shown["label"] == texts.HOLDERS[holder]


@pytest.mark.parametrize(
    ("status", "holder", "advice"),
    [
        (Status.LAUNCHED, Holder.SENDER, "It picks up your parcel and comes straight to you."),
        (Status.LAUNCHED, Holder.DRONE, "Your parcel is picked up and comes to you."),
        (Status.ENROUTE, Holder.SENDER, "The drone picks up your parcel first."),
        (Status.ENROUTE, Holder.DRONE, "Please keep an open spot at the drop point."),
        (Status.FAILED, Holder.SENDER, "The sender knows and will contact you."),
        (Status.ABORTED, Holder.HUB, "Your parcel is back at our hub. The sender knows."),
        (Status.FAILED, Holder.RETURNED, "Your parcel is back with the sender."),
        (Status.FAILED, Holder.LOST, "Your parcel is lost. We are sorry. The sender knows."),
    ],
)
def test_the_advice_fits_where_the_parcel_is(status: Status, holder: Holder, advice: str) -> None:
    _, situation = public.view(
        fields(status, holder=holder), log_of(*FLOWN), None, LINK_LOST_AFTER_S, NOW
    )

    assert texts.advice(situation) == advice


def test_an_inferred_pickup_is_not_in_the_timeline() -> None:
    log = [
        *log_of(*FLOWN, EventType.ENROUTE),
        public.LogEntry(EventType.PARCEL_LOADED, NOW, inferred=True),
        public.LogEntry(EventType.ARRIVED, NOW),
    ]
    shown, _ = public.view(
        fields(Status.ARRIVED, holder=Holder.DRONE), log, sample(), LINK_LOST_AFTER_S, NOW
    )

    assert "Picked up" not in [entry["label"] for entry in shown["timeline"]]
    assert shown["custody"]["label"] == "Picked up"


@pytest.mark.parametrize(
    ("was", "now", "label"),
    [
        (EventType.FAILED, Status.DELIVERED, "Delivered after all"),
        (EventType.ABORTED, Status.DELIVERED, "Delivered after all"),
        (EventType.DELIVERED, Status.FAILED, "We were wrong: it was not delivered"),
    ],
)
def test_a_correction_replaces_the_former_end(was: EventType, now: Status, label: str) -> None:
    log = [*log_of(*FLOWN, was), public.LogEntry(EventType.CORRECTED, NOW, outcome=now)]
    shown, situation = public.view(fields(now), log, None, LINK_LOST_AFTER_S, NOW)

    assert shown["milestones"][-1] == now
    assert was not in shown["milestones"]
    assert shown["timeline"][-1]["label"] == label
    assert situation.stage == STAGES[now]


def test_a_waiting_order_that_is_delivered_has_no_steps_ahead() -> None:
    shown = view(fields(Status.DELIVERED), *FLOWN[:4], EventType.REQUEUED, EventType.DELIVERED)

    assert shown["milestones"] == ["CREATED", "QUEUED", "DELIVERED"]
    steps = page_context.steps(shown, STAGES[Status(shown["status"])])
    assert [step.state for step in steps] == ["done"] * len(page_context.STEPS)
    assert [step.at is not None for step in steps] == [True, False, False, False, True]


def test_a_rescheduled_order_keeps_only_its_first_milestone() -> None:
    shown = view(fields(Status.VALIDATED), *FLOWN[:4], EventType.RESCHEDULED)

    assert shown["milestones"] == ["CREATED"]


def test_internal_events_are_not_in_the_timeline() -> None:
    hidden = {
        EventType.VALIDATED,
        EventType.MISSION_SUBMITTED,
        EventType.REASSIGNED,
        EventType.LINK_LOST,
        EventType.LINK_RESTORED,
        EventType.INTENT_FAILED,
        EventType.CLEARANCE,
        EventType.ABORT_REQUESTED,
        EventType.CODE_REFUSED,
        EventType.PROOF_MISSING,
        EventType.DETAILS_CHANGED,
        EventType.TRACKING_RENEWED,
        EventType.CONTRADICTION,
        EventType.LATE_REPORT,
        EventType.MISSION_OVER,
    }
    shown = view(fields(Status.ENROUTE), *EventType)

    assert {entry["type"] for entry in shown["timeline"]} == set(EventType) - hidden


@pytest.mark.parametrize("status", Status)
def test_the_position_is_shown_only_in_flight(status: Status) -> None:
    shown = view(fields(status), drone=sample())["position"]

    assert (shown is not None) == (status in IN_FLIGHT)


def test_coordinates_are_rounded_and_at_the_door_more_coarsely() -> None:
    on_its_way = view(fields(Status.ENROUTE), drone=sample(lat=5.62512))
    at_the_door = view(fields(Status.DELIVERING), drone=sample())
    near_the_door = view(fields(Status.ENROUTE), drone=sample())

    assert on_its_way["dropoff"] == {"lat": 5.615, "lng": -0.175}
    assert on_its_way["position"] == {
        "lat": 5.6251,
        "lng": round(LNG, 4),
        "heading_deg": 87.0,
        "at": "2026-03-03T13:59:59Z",
    }
    assert near_the_door["position"] == at_the_door["position"]
    assert (at_the_door["position"]["lat"], at_the_door["position"]["lng"]) == (5.615, -0.175)


@pytest.mark.parametrize("age_s", [LINK_LOST_AFTER_S + 1, math.inf, -1])
def test_a_silent_drone_has_neither_position_nor_eta(age_s: float) -> None:
    expected = fields(Status.ENROUTE, eta_at=NOW + timedelta(minutes=4))
    silent = view(expected, drone=sample(age_s))

    assert silent["position"] is None
    assert silent["eta_seconds"] is None
    assert silent["headline"] == "On its way"


def test_a_drone_without_a_fix_has_no_position() -> None:
    assert view(fields(Status.ENROUTE), drone=sample(lat=None))["position"] is None


def test_the_eta_is_whole_seconds_and_never_negative() -> None:
    soon = view(fields(Status.ENROUTE, eta_at=NOW + timedelta(seconds=1.5)))
    past = view(fields(Status.ENROUTE, eta_at=NOW - timedelta(seconds=5)))

    assert (soon["eta_seconds"], soon["eta_at"]) == (2, "2026-03-03T14:00:01Z")
    assert past["eta_seconds"] == 0


@pytest.mark.parametrize("status", TERMINAL)
def test_a_finished_order_has_no_eta(status: Status) -> None:
    shown = view(fields(status, eta_at=NOW + timedelta(minutes=4)))

    assert (shown["eta_seconds"], shown["eta_at"]) == (None, None)


LONG_AGO = NOW - timedelta(days=30, seconds=1)


@pytest.mark.parametrize("status", TERMINAL)
@pytest.mark.parametrize("why", [{"updated_at": LONG_AGO}, {"forgotten": True}], ids=repr)
def test_after_thirty_days_or_forgetting_the_view_has_no_content(
    status: Status, why: dict[str, Any]
) -> None:
    order = fields(status, proof_method="OTP", proof_at=LONG_AGO, cancel_reason="WEATHER", **why)
    shown = view(order, *EventType)
    assert shown["headline"] == "This delivery is over"
    kept = {"public_tracking_id", "status", "headline", "drone", "updated_at"}
    assert {name for name, value in shown.items() if value} == kept
    assert set(shown) == SHAPE


@pytest.mark.parametrize("status", [status for status in Status if status not in TERMINAL])
def test_an_unfinished_order_is_shown_at_any_age(status: Status) -> None:
    assert view(fields(status, updated_at=LONG_AGO))["dropoff"] is not None


def test_only_method_and_time_of_the_proof_are_shown() -> None:
    proved = view(fields(Status.DELIVERED, proof_method="OTP", proof_at=NOW))
    bare = view(fields(Status.DELIVERED))

    assert proved["pod_summary"] == {"method": "OTP", "created_at": "2026-03-03T14:00:00Z"}
    assert bare["pod_summary"] is None


@pytest.mark.parametrize(
    "typed",
    ["7Q2KM9XW4TZ1H", "7q2km9xw4tz1h", "7Q2K-M9XW-4TZ1H", " 7q2k m9xw 4tz1h", "7Q2KM9XW4TZIH"],
)
def test_an_id_is_accepted_in_any_spelling(typed: str) -> None:
    assert canonical_id(typed) == "7Q2KM9XW4TZ1H"


@pytest.mark.parametrize(
    "typed",
    ["", "-", "7Q2KM9XW4TZ1", "7Q2KM9XW4TZ1HH", "7Q2KM9XW4TZ1U", "7Q2KM9XW4TZ1٣", "\0" * 13],
)
def test_a_malformed_id_is_none(typed: str) -> None:
    assert canonical_id(typed) is None


@given(text=st.text(max_size=80))
def test_any_text_is_an_id_or_none(text: str) -> None:
    found = canonical_id(text)
    assert found is None or set(found) <= set(TRACKING_ALPHABET)


def test_every_id_we_make_is_its_own_canonical_form() -> None:
    for made in (new_tracking_id() for _ in range(100)):
        assert canonical_id(made.lower()) == made


def test_every_method_of_proof_has_its_texts() -> None:
    assert set(texts.NEEDS) == set(METHODS)
    assert set(texts.RECEIVED_WITH) == set(METHODS)
