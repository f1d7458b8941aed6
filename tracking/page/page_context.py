"""What the customer's page shows of a delivery: plain values, in the language that is active."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from django.utils.translation import gettext, gettext_lazy

from fleet.feasibility.geometry import distance_m
from orders.states import (
    AT_THE_DROP_POINT,
    IN_FLIGHT,
    TERMINAL,
    WAITING,
    EventType,
    PodRequirement,
    Status,
)
from orders.tracking_ids import spoken
from tracking.page import public, texts
from tracking.page.cache import Copy
from tracking.page.texts import Look

STEPS = (
    (EventType.CREATED, gettext_lazy("Received")),
    (EventType.ASSIGNED, gettext_lazy("Getting ready")),
    (EventType.LAUNCHED, gettext_lazy("On its way")),
    (EventType.ARRIVED, gettext_lazy("At the drop point")),
    (EventType.DELIVERED, gettext_lazy("Delivered")),
)
# What the customer is asked for once the parcel is there.
ASKED = {
    PodRequirement.OTP: "otp",
    PodRequirement.SIGNATURE: "signature",
    PodRequirement.NONE: "confirm",
}
# How far along its way the drone is drawn, as a share: fixed, or while it flies between these.
DRAWN_AT = {
    Look.PREPARING: 0.0,
    Look.TAKEN_OFF: 0.12,
    Look.ON_ITS_WAY: 0.5,
    Look.HERE: 1.0,
    Look.COMING_DOWN: 1.0,
    Look.DELIVERED: 1.0,
}
FLIES_FROM, FLIES_TO = 0.06, 0.97
# Our staff are asked: nothing is promised, and there is nothing to choose.
UNCLEAR = (Look.CHECKING, Look.LOOKING)
FELL_THROUGH = (Status.CANCELED, Status.FAILED, Status.ABORTED)
REFRESH_IN_FLIGHT_S = 4
REFRESH_WAITING_S = 15
# Without a script: whoever reads or types must not lose the page under their fingers.
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
    """One figure under the headline: a moment, a range of them, or words."""

    label: str
    words: str = ""
    at: datetime | None = None
    until: datetime | None = None


def of(copy: Copy) -> dict[str, Any]:
    """The template's context, but for what belongs to the request."""
    view, face = copy.view, copy.face
    status = Status(view["status"])
    over = status in TERMINAL
    in_flight = status in IN_FLIGHT
    at_the_door = status in AT_THE_DROP_POINT
    eta_s = None if at_the_door else view["eta_seconds"]
    ask = asked(copy)
    return {
        "view": view,
        "look": face.look.value,
        "tone": {Look.DELIVERED: "good", Look.OVER: "busy"}.get(
            face.look, "bad" if over else "busy"
        ),
        "headline": texts.headline(face, eta_s),
        "advice": texts.advice(face),
        "need": texts.NEEDS.get(copy.pod_requirement) if _has_a_need(status, ask) else None,
        "is_silent": face.because == "silence",
        "eta_s": eta_s,
        "facts": facts(copy, eta_s),
        "progress": progress(copy),
        "steps": steps(view) if face.look != Look.OVER else [],
        "timeline": [
            # In the view it is the English one, which is what translations are found by.
            {"label": gettext(entry["label"]), "at": moment(entry["at"])}
            for entry in reversed(view["timeline"])
        ],
        "ask": ask,
        "has_map": not over,
        "refresh_s": 0 if over else REFRESH_IN_FLIGHT_S if in_flight else REFRESH_WAITING_S,
        "reload_s": 0
        if over
        else RELOAD_WITH_A_FORM_S
        if ask not in ("", "locked")
        else (RELOAD_IN_FLIGHT_S if in_flight else RELOAD_WAITING_S),
        # For the script that counts down: {n} is its number.
        "minute": texts.in_minutes(60),
        "minutes": texts.in_minutes(120).replace("2", "{n}"),
        "sender": copy.sender,
        "contact": contact(copy.sender.support_contact),
        "dropoff_radius_m": round(copy.dropoff_radius_m),
        "grouped_id": spoken(view["public_tracking_id"]),
    }


def asked(copy: Copy) -> str:
    """What the customer can do now: otp, signature, confirm, dropoff, or nothing ("").

    help: nothing but to ask the sender, because it failed or is not clear; locked: the same for
    their code.
    """
    status = Status(copy.view["status"])
    if copy.face.look == Look.OVER:
        return ""
    if status in FELL_THROUGH or (copy.face.look in UNCLEAR and status in WAITING):
        return "help" if contact(copy.sender.support_contact) else ""
    if status in WAITING:
        return "dropoff" if copy.dropoff_radius_m > 0 else ""
    ask = "locked" if copy.code_locked else ASKED.get(PodRequirement(copy.pod_requirement), "")
    late = status == Status.DELIVERED and copy.view["pod_summary"] is None and ask != "confirm"
    return ask if status in AT_THE_DROP_POINT or late else ""


def _has_a_need(status: Status, ask: str) -> bool:
    return status not in (*WAITING, *TERMINAL) and ask not in (*ASKED.values(), "locked")


def facts(copy: Copy, eta_s: int | None) -> list[Fact]:
    """When and how far; before there is a forecast what was promised, and at the end what was."""
    view, status = copy.view, Status(copy.view["status"])
    if copy.face.look in (Look.OVER, *UNCLEAR) or status in (*FELL_THROUGH, *AT_THE_DROP_POINT):
        return []
    if status == Status.DELIVERED:
        return list(_at_the_end(view))
    if eta_s is None:
        label = gettext("Was promised by") if copy.face.delayed else gettext("Promised by")
        return [Fact(label, at=copy.deliver_by)]
    low, high = expected(view, in_flight=status in IN_FLIGHT)
    found = [Fact(gettext("Expected"), at=low, until=high)]
    if far := away(view):
        found.append(Fact(gettext("Still to fly"), words=far))
    return found


def _at_the_end(view: dict[str, Any]) -> Iterator[Fact]:
    at = [entry["at"] for entry in view["timeline"] if entry["type"] == EventType.DELIVERED]
    if at:
        yield Fact(gettext("Arrived"), at=moment(at[-1]))
    if proof := view["pod_summary"]:
        yield Fact(gettext("Received with"), words=str(texts.RECEIVED_WITH[proof["method"]]))


def expected(view: dict[str, Any], *, in_flight: bool) -> tuple[datetime, datetime]:
    """Between when and when it arrives, to whole minutes outwards."""
    eta_s, eta_at = view["eta_seconds"], moment(view["eta_at"])
    low_s, high_s = public.eta_range(eta_s, in_flight=in_flight)
    low = eta_at + timedelta(seconds=low_s - eta_s)
    high = eta_at + timedelta(seconds=high_s - eta_s + 59.999)
    return low.replace(second=0, microsecond=0), high.replace(second=0, microsecond=0)


def contact(text: str) -> str:
    """What a tap on the support contact opens: a call, a mail or a page; "" for anything else."""
    text = text.strip()
    if re.fullmatch(r"[+(]?[0-9][0-9 ()./-]{4,}[0-9]", text):
        return "tel:" + re.sub(r"[^0-9+]", "", text)
    if re.fullmatch(r"[\w.+-]+@[\w-]+(\.[\w-]+)+", text):
        return f"mailto:{text}"
    return text if re.fullmatch(r"https://[^\s<>]+", text) else ""


def progress(copy: Copy) -> dict[str, Any]:
    """Where the drone is drawn between the sender and the door: on an arc, in its own units."""
    view, look = copy.view, copy.face.look
    share = DRAWN_AT.get(look, 0.0)
    taken_off = [entry["at"] for entry in view["timeline"] if entry["type"] == EventType.LAUNCHED]
    eta_s = view["eta_seconds"]
    if look in (Look.TAKEN_OFF, Look.ON_ITS_WAY) and eta_s is not None and taken_off:
        whole_s = (moment(view["eta_at"]) - moment(taken_off[-1])).total_seconds()
        flown = min(1.0, max(0.0, 1 - eta_s / whole_s)) if whole_s > 0 else 1.0
        share = FLIES_FROM + (FLIES_TO - FLIES_FROM) * flown
    return {"share": f"{share:.3f}", "done": f"{100 * share:.1f}", "at": " ".join(arc(share))}


def arc(share: float) -> tuple[str, str]:
    """The point of the drawn arc of flight_drawing.html, a quadratic curve, at this share."""
    return f"{74 + 174 * share:.1f}", f"{78 - 208 * share * (1 - share):.1f}"


def away(view: dict[str, Any]) -> str:
    """How far the drone has to go, about: both ends are rounded."""
    here, there = view["position"], view["dropoff"]
    if here is None or view["status"] not in (Status.LAUNCHED, Status.ENROUTE):
        return ""
    return texts.distance(float(distance_m(here["lat"], here["lng"], there["lat"], there["lng"])))


def steps(view: dict[str, Any]) -> list[Step]:
    """The five steps of a delivery; the last one reached is current until it is over.

    A step that was skipped is done, at a time that is not known. A delivery that fell through has
    no steps ahead any more, but says when it ended, and how.
    """
    reached_at = {entry["type"]: moment(entry["at"]) for entry in view["timeline"]}
    reached = [kind in view["milestones"] for kind, _ in STEPS]
    latest = max((index for index, is_reached in enumerate(reached) if is_reached), default=-1)
    current = "done" if view["status"] in TERMINAL else "current"
    found = [
        Step(
            str(label),
            reached_at.get(kind) if reached[index] else None,
            "ahead" if index > latest else current if index == latest else "done",
        )
        for index, (kind, label) in enumerate(STEPS)
    ]
    if view["status"] in FELL_THROUGH:
        end = EventType(view["status"])
        found = [step for step in found if step.state == "done"]
        at = reached_at.get(end, reached_at.get(EventType.CORRECTED))
        found.append(Step(str(texts.LABELS[end]), at, "ended"))
    return found


def moment(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)
