"""The template context of the customer's page: plain values in the active language."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from django.utils.translation import gettext, gettext_lazy

from fleet.feasibility.geometry import distance_m
from orders.states import (
    AT_THE_DROP_POINT,
    CANCELABLE,
    IN_FLIGHT,
    TERMINAL,
    WAITING,
    EventType,
    PodRequirement,
    Status,
)
from orders.tracking_ids import grouped
from pod.cases import MAX_CASES
from tracking.page import plan, texts
from tracking.page.cache import Copy
from tracking.page.facts import ShownCase
from tracking.page.texts import Stage

STEPS = (
    (EventType.CREATED, gettext_lazy("Received")),
    (EventType.ASSIGNED, gettext_lazy("Getting ready")),
    (EventType.LAUNCHED, gettext_lazy("On its way")),
    (EventType.ARRIVED, gettext_lazy("At the drop point")),
    (EventType.DELIVERED, gettext_lazy("Delivered")),
)
# The form for each proof, once the parcel is there.
PROOF_FORMS = {
    PodRequirement.OTP: "otp",
    PodRequirement.SIGNATURE: "signature",
    PodRequirement.NONE: "confirm",
}
# Where the drawing shows the drone, as a share of its way. In flight it moves with the ETA between
# FLIES_FROM and FLIES_TO.
DRAWN_AT = {
    Stage.PREPARING: 0.0,
    Stage.TAKEN_OFF: 0.12,
    Stage.ON_ITS_WAY: 0.5,
    Stage.HERE: 1.0,
    Stage.COMING_DOWN: 1.0,
    Stage.HANDED_OVER: 1.0,
    Stage.DELIVERED: 1.0,
}
FLIES_FROM, FLIES_TO = 0.06, 0.97
TONES = {Stage.DELIVERED: "good", Stage.OVER: "busy", Stage.HANDED_OVER: "busy"}
# Staff are checking the order: the page shows no promise and no form.
UNCLEAR = (Stage.CHECKING, Stage.LOOKING)
UNSUCCESSFUL = (Status.CANCELED, Status.FAILED, Status.ABORTED)
# The page's script asks for the whole page: in flight only while the tab is hidden (five times
# slower) or when it cannot ask for the position, which it does each POSITION_EVERY_S.
REFRESH_IN_FLIGHT_S = 4
REFRESH_WAITING_S = 15
POSITION_EVERY_S = 1
# Without a script the whole page reloads, so less often, and rarely while a form is open.
RELOAD_IN_FLIGHT_S = 10
RELOAD_WAITING_S = 30
RELOAD_WITH_A_FORM_S = 120


@dataclass(frozen=True, slots=True)
class Step:
    label: str
    at: datetime | None
    state: str  # done, current, ahead or ended


@dataclass(frozen=True, slots=True)
class Fact:
    """One figure under the headline: a time, a range of times, or a text."""

    label: str
    text: str = ""
    at: datetime | None = None
    until: datetime | None = None
    # Whether it changes with each position of the drone.
    moves: bool = False


def context_of(copy: Copy) -> dict[str, Any]:
    """The template's context, without the values that depend on the request."""
    view, situation = copy.view, copy.situation
    status = Status(view["status"])
    over = status in TERMINAL
    in_flight = status in IN_FLIGHT
    left_s = eta_s(view)
    ask = form_of(copy)
    return {
        "view": view,
        "stage": situation.stage.value,
        "tone": TONES.get(situation.stage, "bad" if over else "busy"),
        "headline": texts.headline(situation, left_s),
        "advice": texts.advice(situation),
        "need": texts.NEEDS.get(copy.pod_requirement) if _has_a_need(copy, ask) else None,
        "is_silent": situation.reason == "silence",
        "eta_s": left_s,
        "facts": facts(copy, left_s),
        "progress": progress(copy),
        "steps": steps(view, situation.stage) if situation.stage != Stage.OVER else [],
        "timeline": [
            # The view has the English label, which is the key of the translation.
            {"label": gettext(entry["label"]), "at": moment(entry["at"])}
            for entry in reversed(view["timeline"])
        ],
        "ask": ask,
        "wish": wish(copy),
        "has_instructions": copy.has_instructions,
        "cases": [shown_case(case) for case in copy.cases],
        "case_kinds": case_kinds(copy),
        "has_map": not over,
        "plan": None if over else plan.of(view),
        "position_every_s": POSITION_EVERY_S if in_flight else 0,
        "version": copy.version,
        "refresh_s": 0 if over else REFRESH_IN_FLIGHT_S if in_flight else REFRESH_WAITING_S,
        "reload_s": 0
        if over
        else RELOAD_WITH_A_FORM_S
        if ask not in ("", "locked") or wish(copy) == "write"
        else (RELOAD_IN_FLIGHT_S if in_flight else RELOAD_WAITING_S),
        # For the countdown of track.js, which fills in {n}.
        "minute": texts.in_minutes(60),
        "minutes": texts.in_minutes(120).replace("2", "{n}"),
        "is_test": not copy.live_mode,
        "sender": copy.sender,
        "contact": contact(copy.sender.support_contact),
        "dropoff_moved_m": "{:.1f},{:.1f}".format(*copy.dropoff_moved_m),
        "dropoff_radius_m": round(copy.dropoff_radius_m),
        "grouped_id": grouped(view["public_tracking_id"]),
    }


def form_of(copy: Copy) -> str:
    """The form that the page shows now: otp, signature, confirm or dropoff; "" for none.

    help: no form but a link to the sender, after a failure or while staff are checking. locked: the
    same, because the code is locked.
    """
    status = Status(copy.view["status"])
    if copy.situation.stage == Stage.OVER:
        return ""
    if status in UNSUCCESSFUL or (copy.situation.stage in UNCLEAR and status in WAITING):
        return "help" if contact(copy.sender.support_contact) else ""
    if status in WAITING:
        return "dropoff" if copy.dropoff_radius_m > 0 else ""
    proof_form = PROOF_FORMS.get(PodRequirement(copy.pod_requirement), "")
    ask = "locked" if copy.code_locked else proof_form
    late = status == Status.DELIVERED and copy.view["pod_summary"] is None and ask != "confirm"
    return ask if status in AT_THE_DROP_POINT or late else ""


def wish(copy: Copy) -> str:
    """Whether the page asks for instructions ("write"), says that there are some ("read"), or
    neither (""). It never shows them: they may hold a name or the code of a door.
    """
    status = Status(copy.view["status"])
    if copy.situation.stage in (Stage.OVER, *UNCLEAR) or status in TERMINAL:
        return ""
    if status in CANCELABLE:
        return "write"
    return "read" if copy.has_instructions else ""


def shown_case(case: ShownCase) -> dict[str, Any]:
    return {
        "label": in_a_sentence(texts.CASES[case.kind]),
        "state": texts.CASE_OUTCOMES[case.outcome] if case.closed_at else texts.CASE_IS_OPEN,
        "at": case.closed_at or case.opened_at,
        "answer": case.answer,
    }


def in_a_sentence(text: texts.Text) -> str:
    words = str(text)
    return words[0].lower() + words[1:]


def case_kinds(copy: Copy) -> list[dict[str, Any]]:
    """The choices of the form for a problem; empty when there is no form."""
    open_kinds = {case.kind for case in copy.cases if case.closed_at is None}
    if not copy.takes_cases or len(copy.cases) >= MAX_CASES:
        return []
    return [
        {"value": kind, "label": label}
        for kind, label in texts.CASES.items()
        if kind not in open_kinds
    ]


def _has_a_need(copy: Copy, ask: str) -> bool:
    if copy.situation.stage == Stage.HANDED_OVER:
        return False
    status = Status(copy.view["status"])
    return status not in (*WAITING, *TERMINAL) and ask not in (*PROOF_FORMS.values(), "locked")


def eta_s(view: dict[str, Any]) -> int | None:
    """The time that the page shows; none at the door."""
    return None if view["status"] in AT_THE_DROP_POINT else view["eta_seconds"]


def facts(copy: Copy, left_s: int | None) -> list[Fact]:
    """The figures under the headline: ETA and distance; while it waits its expected time and place;
    before that is known the promised time; after delivery the time of arrival and the proof.
    """
    view, status = copy.view, Status(copy.view["status"])
    if copy.situation.stage in (Stage.OVER, *UNCLEAR) or status in (
        *UNSUCCESSFUL,
        *AT_THE_DROP_POINT,
    ):
        return []
    if status == Status.DELIVERED:
        return list(_at_the_end(view))
    if view["eta_range"]:
        return list(_in_line(view))
    if left_s is None:
        label = gettext("Was promised by") if copy.situation.delayed else gettext("Promised by")
        return [Fact(label, at=copy.deliver_by)]
    found = []
    if copy.arrival:
        low, high = whole_minutes(*copy.arrival)
        found.append(Fact(gettext("Expected"), at=low, until=high, moves=True))
    if distance := distance_left(view):
        found.append(Fact(gettext("Still to fly"), text=distance, moves=True))
    return found


def _in_line(view: dict[str, Any]) -> Iterator[Fact]:
    """When a waiting order is expected, in whole minutes, and its place in line."""
    low, high = (moment(view["eta_range"][end]) for end in ("low", "high"))
    high += timedelta(seconds=59)
    yield Fact(gettext("Expected"), at=low.replace(second=0), until=high.replace(second=0))
    place = view["queue"]["place"]
    is_next, in_line = gettext("you are next"), gettext("number %(place)s") % {"place": place}
    yield Fact(gettext("In line"), text=is_next if place == 1 else in_line)


def _at_the_end(view: dict[str, Any]) -> Iterator[Fact]:
    at = [entry["at"] for entry in view["timeline"] if entry["type"] == EventType.DELIVERED]
    if at:
        yield Fact(gettext("Arrived"), at=moment(at[-1]))
    if proof := view["pod_summary"]:
        yield Fact(gettext("Received with"), text=str(texts.RECEIVED_WITH[proof["method"]]))


def whole_minutes(low: datetime, high: datetime) -> tuple[datetime, datetime]:
    """Rounded outwards."""
    high += timedelta(seconds=59.999)
    return low.replace(second=0, microsecond=0), high.replace(second=0, microsecond=0)


def contact(text: str) -> str:
    """The link for a support contact: tel:, mailto: or https:; "" for other texts."""
    text = text.strip()
    if re.fullmatch(r"[+(]?[0-9][0-9 ()./-]{4,}[0-9]", text):
        return "tel:" + re.sub(r"[^0-9+]", "", text)
    if re.fullmatch(r"[\w.+-]+@[\w-]+(\.[\w-]+)+", text):
        return f"mailto:{text}"
    return text if re.fullmatch(r"https://[^\s<>]+", text) else ""


def progress(copy: Copy) -> dict[str, Any]:
    """The drone's place on the drawn arc: its share, the share in percent, and its point."""
    view, stage = copy.view, copy.situation.stage
    share = DRAWN_AT.get(stage, 0.0)
    taken_off = [entry["at"] for entry in view["timeline"] if entry["type"] == EventType.LAUNCHED]
    left_s = view["eta_seconds"]
    if stage in (Stage.TAKEN_OFF, Stage.ON_ITS_WAY) and left_s is not None and taken_off:
        whole_s = (moment(view["eta_at"]) - moment(taken_off[-1])).total_seconds()
        flown = min(1.0, max(0.0, 1 - left_s / whole_s)) if whole_s > 0 else 1.0
        share = FLIES_FROM + (FLIES_TO - FLIES_FROM) * flown
    return {"share": f"{share:.3f}", "done": f"{100 * share:.1f}", "at": " ".join(arc(share))}


def arc(share: float) -> tuple[str, str]:
    """(x, y) at this share of the arc of flight_drawing.html, a quadratic Bézier curve."""
    return f"{74 + 174 * share:.1f}", f"{78 - 208 * share * (1 - share):.1f}"


def distance_left(view: dict[str, Any]) -> str:
    """From the drone to the drop point, approximate: both are rounded. "" if unknown."""
    here, there = view["position"], view["dropoff"]
    if here is None or view["status"] not in (Status.LAUNCHED, Status.ENROUTE):
        return ""
    return texts.distance(float(distance_m(here["lat"], here["lng"], there["lat"], there["lng"])))


def steps(view: dict[str, Any], stage: Stage) -> list[Step]:
    """The five steps of a delivery. The last step reached is current until the delivery is over.

    After a hand-over without its proof the last step is not “Delivered”, and not done. A skipped
    step is done, without a time. An unsuccessful delivery has no steps ahead; its last step says
    how and when it ended.
    """
    reached_at = {entry["type"]: moment(entry["at"]) for entry in view["timeline"]}
    reached = [kind in view["milestones"] for kind, _ in STEPS]
    latest = max((index for index, is_reached in enumerate(reached) if is_reached), default=-1)
    is_unproven = stage == Stage.HANDED_OVER and reached[-1]
    current = "done" if view["status"] in TERMINAL and not is_unproven else "current"
    found = [
        Step(
            str(texts.HANDED_OVER if is_unproven and kind == EventType.DELIVERED else label),
            reached_at.get(kind) if reached[index] else None,
            "ahead" if index > latest else current if index == latest else "done",
        )
        for index, (kind, label) in enumerate(STEPS)
    ]
    if view["status"] in UNSUCCESSFUL:
        end = EventType(view["status"])
        found = [step for step in found if step.state == "done"]
        at = reached_at.get(end, reached_at.get(EventType.CORRECTED))
        found.append(Step(str(texts.LABELS[end]), at, "ended"))
    return found


def moment(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)
