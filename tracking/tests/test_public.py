"""What outsiders may see: the words of each state, and nothing that is private."""

import math
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleet.policy import Policy
from orders.states import IN_FLIGHT, TERMINAL, CancelReason, EventType, Holder, Status
from orders.tracking_ids import TRACKING_ALPHABET, canonical_id, new_tracking_id
from pod.models import METHODS
from tracking.page import page_context, public, texts
from tracking.page.public import LOOKS

NOW = datetime(2026, 3, 3, 14, 0, 0, 123456, tzinfo=UTC)
RULES = Policy().rules()
SHAPE = {
    "public_tracking_id",
    "status",
    "headline",
    "milestones",
    "timeline",
    "custody",
    "eta_seconds",
    "eta_at",
    "position",
    "dropoff",
    "drone",
    "pod_summary",
    "updated_at",
}
LAT, LNG = 5.6151234567, -0.1751234567


def facts(status: Status, **changes: Any) -> public.Facts:
    return replace(
        public.Facts(
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


def moments(*types: EventType) -> list[public.Moment]:
    start = NOW - timedelta(minutes=len(types))
    return [public.Moment(kind, start + timedelta(minutes=i)) for i, kind in enumerate(types)]


def seen(age_s: float = 1, lat: float | None = LAT) -> public.Seen:
    return public.Seen(age_s, lat, LNG, 87.0, NOW - timedelta(seconds=1))


def view(
    order: public.Facts, *types: EventType, drone: public.Seen | None = None
) -> dict[str, Any]:
    told, _ = public.view(order, moments(*types), drone, RULES, NOW)
    return told


def test_the_shape_is_the_same_in_every_state() -> None:
    for status in Status:
        assert set(view(facts(status), *EventType, drone=seen())) == SHAPE


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
def test_each_state_has_its_plain_words(
    status: Status, changes: dict[str, Any], headline: str
) -> None:
    assert view(facts(status, **changes))["headline"] == headline


FLOWN = (
    EventType.CREATED,
    EventType.VALIDATED,
    EventType.QUEUED,
    EventType.ASSIGNED,
    EventType.MISSION_SUBMITTED,
    EventType.LAUNCHED,
)


def test_an_order_that_starts_over_says_so_and_takes_its_milestones_back() -> None:
    told = view(facts(Status.QUEUED), *FLOWN, EventType.REQUEUED)

    assert told["headline"] == "We are sending another drone"
    assert told["milestones"] == ["CREATED", "QUEUED"]
    assert [entry["label"] for entry in told["timeline"]] == [
        "Order received",
        "Waiting for a drone",
        "Drone getting ready",
        "Taken off",
        "We are sending another drone",
    ]


# --- where the parcel is, and what is not believed ----------------------------------------------


def held(holder: Holder) -> tuple[public.Facts, list[public.Moment]]:
    order = facts(Status.QUEUED, holder=holder, doubted=True, eta_at=NOW + timedelta(minutes=4))
    back = public.Moment(EventType.REQUEUED, NOW, held=True)
    return order, [*moments(*FLOWN, EventType.PARCEL_LOADED), back]


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
    told, face = public.view(order, log, None, RULES, NOW)

    assert told["headline"] == headline
    assert told["timeline"][-1]["label"] == "We are checking what happened"
    assert "another drone" not in str(told) + texts.advice(face)
    assert (told["eta_seconds"], told["position"]) == (None, None)


def test_a_parcel_at_a_hub_is_said_to_be_there() -> None:
    told = view(facts(Status.QUEUED, holder=Holder.HUB), *FLOWN, EventType.PARCEL_UNLOADED)

    assert told["headline"] == "Your parcel is back at our hub"
    assert told["custody"]["label"] == "Your parcel is back at our hub"
    assert told["timeline"][-1]["label"] == "Your parcel is back at our hub"


def test_once_it_is_clear_that_it_never_left_another_drone_comes() -> None:
    _, log = held(Holder.SENDER)
    told, _ = public.view(facts(Status.QUEUED), log, None, RULES, NOW)

    assert told["headline"] == "We are sending another drone"


@pytest.mark.parametrize("status", IN_FLIGHT)
@pytest.mark.parametrize("why", [{"doubted": True}, {"holder": Holder.UNKNOWN}], ids=repr)
def test_what_is_not_believed_of_a_flight_is_not_told(status: Status, why: dict[str, Any]) -> None:
    told = view(facts(status, eta_at=NOW + timedelta(minutes=4), **why), *FLOWN, drone=seen())

    assert (told["eta_seconds"], told["eta_at"], told["position"]) == (None, None, None)
    assert "minutes" not in told["headline"]
    assert told["headline"].startswith("We are")


@pytest.mark.parametrize("holder", Holder)
def test_who_has_the_parcel_is_told_in_words(holder: Holder) -> None:
    told = view(facts(Status.FAILED, holder=holder, holder_since=NOW))["custody"]

    assert (told["holder"], told["since"]) == (holder, "2026-03-03T14:00:00Z")
    assert told["label"] == texts.HOLDERS[holder]


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
    _, face = public.view(facts(status, holder=holder), moments(*FLOWN), None, RULES, NOW)

    assert texts.advice(face) == advice


def test_a_pickup_that_nobody_saw_has_no_time_to_tell() -> None:
    log = [
        *moments(*FLOWN, EventType.ENROUTE),
        public.Moment(EventType.PARCEL_LOADED, NOW, inferred=True),
        public.Moment(EventType.ARRIVED, NOW),
    ]
    told, _ = public.view(facts(Status.ARRIVED, holder=Holder.DRONE), log, seen(), RULES, NOW)

    assert "Picked up" not in [entry["label"] for entry in told["timeline"]]
    assert told["custody"]["label"] == "Picked up"


@pytest.mark.parametrize(
    ("was", "now", "label"),
    [
        (EventType.FAILED, Status.DELIVERED, "Delivered after all"),
        (EventType.ABORTED, Status.DELIVERED, "Delivered after all"),
        (EventType.DELIVERED, Status.FAILED, "We were wrong: it was not delivered"),
    ],
)
def test_a_correction_takes_the_former_end_back(was: EventType, now: Status, label: str) -> None:
    log = [*moments(*FLOWN, was), public.Moment(EventType.CORRECTED, NOW, outcome=now)]
    told, face = public.view(facts(now), log, None, RULES, NOW)

    assert told["milestones"][-1] == now
    assert was not in told["milestones"]
    assert told["timeline"][-1]["label"] == label
    assert face.look == LOOKS[now]


def test_a_parcel_that_was_delivered_although_its_order_waited_has_no_steps_ahead() -> None:
    told = view(facts(Status.DELIVERED), *FLOWN[:4], EventType.REQUEUED, EventType.DELIVERED)

    assert told["milestones"] == ["CREATED", "QUEUED", "DELIVERED"]
    steps = page_context.steps(told)
    assert [step.state for step in steps] == ["done"] * len(page_context.STEPS)
    assert [step.at is not None for step in steps] == [True, False, False, False, True]


def test_a_rescheduled_order_keeps_only_that_it_was_received() -> None:
    told = view(facts(Status.VALIDATED), *FLOWN[:4], EventType.RESCHEDULED)

    assert told["milestones"] == ["CREATED"]


def test_what_happens_behind_the_scenes_stays_there() -> None:
    hidden = {
        EventType.VALIDATED,
        EventType.MISSION_SUBMITTED,
        EventType.REASSIGNED,
        EventType.LINK_LOST,
        EventType.LINK_RESTORED,
        EventType.INTENT_FAILED,
        EventType.ABORT_REQUESTED,
        EventType.CODE_REFUSED,
        EventType.DETAILS_CHANGED,
        EventType.CONTRADICTION,
        EventType.LATE_REPORT,
        EventType.MISSION_OVER,
    }
    told = view(facts(Status.ENROUTE), *EventType)

    assert {entry["type"] for entry in told["timeline"]} == set(EventType) - hidden


@pytest.mark.parametrize("status", Status)
def test_the_position_is_told_only_while_the_drone_flies_to_the_customer(status: Status) -> None:
    told = view(facts(status), drone=seen())["position"]

    assert (told is not None) == (status in IN_FLIGHT)


def test_coordinates_are_rounded_and_at_the_door_no_finer_than_the_drop_point() -> None:
    on_its_way = view(facts(Status.ENROUTE), drone=seen())
    at_the_door = view(facts(Status.DELIVERING), drone=seen())

    assert on_its_way["dropoff"] == {"lat": 5.615, "lng": -0.175}
    assert on_its_way["position"] == {
        "lat": 5.6151,
        "lng": -0.1751,
        "heading_deg": 87.0,
        "at": "2026-03-03T13:59:59Z",
    }
    assert (at_the_door["position"]["lat"], at_the_door["position"]["lng"]) == (5.615, -0.175)


@pytest.mark.parametrize("age_s", [RULES.link_lost_after_s + 1, math.inf, -1])
def test_a_silent_drone_has_neither_position_nor_eta(age_s: float) -> None:
    expected = facts(Status.ENROUTE, eta_at=NOW + timedelta(minutes=4))
    silent = view(expected, drone=seen(age_s))

    assert silent["position"] is None
    assert silent["eta_seconds"] is None
    assert silent["headline"] == "On its way"


def test_a_drone_without_a_fix_has_no_position() -> None:
    assert view(facts(Status.ENROUTE), drone=seen(lat=None))["position"] is None


def test_the_eta_is_whole_seconds_and_never_negative() -> None:
    soon = view(facts(Status.ENROUTE, eta_at=NOW + timedelta(seconds=1.5)))
    past = view(facts(Status.ENROUTE, eta_at=NOW - timedelta(seconds=5)))

    assert (soon["eta_seconds"], soon["eta_at"]) == (2, "2026-03-03T14:00:01Z")
    assert past["eta_seconds"] == 0


@pytest.mark.parametrize("status", TERMINAL)
def test_when_it_is_over_there_is_no_eta(status: Status) -> None:
    told = view(facts(status, eta_at=NOW + timedelta(minutes=4)))

    assert (told["eta_seconds"], told["eta_at"]) == (None, None)


LONG_AGO = NOW - timedelta(days=30, seconds=1)


@pytest.mark.parametrize("status", TERMINAL)
@pytest.mark.parametrize("why", [{"updated_at": LONG_AGO}, {"forgotten": True}], ids=repr)
def test_thirty_days_later_or_once_forgotten_it_only_says_that_it_is_over(
    status: Status, why: dict[str, Any]
) -> None:
    order = facts(status, proof_method="OTP", proof_at=LONG_AGO, cancel_reason="WEATHER", **why)
    told = view(order, *EventType)
    assert told["headline"] == "This delivery is over"
    kept = {"public_tracking_id", "status", "headline", "drone", "updated_at"}
    assert {name for name, value in told.items() if value} == kept
    assert set(told) == SHAPE


@pytest.mark.parametrize("status", [status for status in Status if status not in TERMINAL])
def test_what_is_not_over_is_shown_however_old_it_is(status: Status) -> None:
    assert view(facts(status, updated_at=LONG_AGO))["dropoff"] is not None


def test_of_the_proof_only_method_and_time_are_told() -> None:
    proved = view(facts(Status.DELIVERED, proof_method="OTP", proof_at=NOW))
    bare = view(facts(Status.DELIVERED))

    assert proved["pod_summary"] == {"method": "OTP", "created_at": "2026-03-03T14:00:00Z"}
    assert bare["pod_summary"] is None


@pytest.mark.parametrize(
    "typed",
    ["7Q2KM9XW4TZ1H", "7q2km9xw4tz1h", "7Q2K-M9XW-4TZ1H", " 7q2k m9xw 4tz1h", "7Q2KM9XW4TZIH"],
)
def test_an_id_is_taken_as_people_type_it(typed: str) -> None:
    assert canonical_id(typed) == "7Q2KM9XW4TZ1H"


@pytest.mark.parametrize(
    "typed",
    ["", "-", "7Q2KM9XW4TZ1", "7Q2KM9XW4TZ1HH", "7Q2KM9XW4TZ1U", "7Q2KM9XW4TZ1٣", "\0" * 13],
)
def test_what_cannot_be_an_id_is_none(typed: str) -> None:
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
