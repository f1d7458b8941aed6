"""A mission in the GCS: the intent, the number of posts, and its reports."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

COURSE = ("LAUNCHED", "ENROUTE", "ARRIVED", "DELIVERING", "DELIVERED")
COURSE_WITHOUT_ORDER = ("LAUNCHED", "LANDED")
PICKED_UP = "PICKED_UP"
ENDS = {"DELIVERED", "LANDED", "FAILED", "ABORTED"}


class Refused(Exception):
    """The GCS refuses the request. code: stable; detail: the reason with its numbers."""

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(detail)
        self.code = code
        self.detail = detail


@dataclass(slots=True)
class MissionEvent:
    """One report. Every copy of it has the same `event_id`.

    due_s: earliest time to send it, on the world's clock. turn: its position in the order of
    sending, from 0. copies: how often it still has to be sent.
    """

    event_id: str
    event_type: str
    occurred_at: str
    message: str
    outcome: str = "unsent"
    due_s: float = 0.0
    turn: int = 0
    copies: int = 1

    def summary(self) -> dict[str, Any]:
        return {
            "event_id": self.event_id,
            "event_type": self.event_type,
            "occurred_at": self.occurred_at,
            "message": self.message,
            "outcome": self.outcome,
        }


@dataclass(slots=True)
class Manner:
    """The faults in the reports of one mission. `at`: the timestamp of all reports."""

    silent: bool = False
    delay_s: float = 0.0
    ahead_s: float = 0.0
    at: str | None = None
    copies: int = 1
    swapped: bool = False

    @property
    def ahead(self) -> timedelta:
        return timedelta(seconds=self.ahead_s)


@dataclass(slots=True)
class Mission:
    """An accepted intent.

    `events` is what the GCS reports. The truth is `accepted_at`, `launched_at`, `over_at` and
    `over_why` (dropped, kept, landed, gave_up or withdrawn); after `over_at` it cannot deliver any
    more.
    talks_on: it continues to report after a final event.
    """

    intent: dict[str, Any]
    accepted_at: str = ""
    posts: int = 1
    withdrawn: bool = False
    events: list[MissionEvent] = field(default_factory=list)
    manner: Manner = field(default_factory=Manner)
    launched_at: str | None = None
    over_at: str | None = None
    over_why: str | None = None
    talks_on: bool = False

    @property
    def intent_id(self) -> str:
        return str(self.intent["intent_id"])

    @property
    def order_id(self) -> str:
        """Empty for a flight without an order."""
        return str(self.intent.get("order_id", ""))

    @property
    def course(self) -> tuple[str, ...]:
        """The reports of a flight without faults, in their order."""
        return COURSE if self.order_id else COURSE_WITHOUT_ORDER

    @property
    def drone_id(self) -> str:
        return str(self.intent["drone_id"])

    @property
    def status(self) -> str:
        """ACCEPTED, WITHDRAWN, or the last event's type."""
        if self.withdrawn:
            return "WITHDRAWN"
        return self.events[-1].event_type if self.events else "ACCEPTED"

    @property
    def ended(self) -> bool:
        """According to the GCS's reports."""
        return self.withdrawn or any(event.event_type in ENDS for event in self.events)

    @property
    def in_air(self) -> bool:
        """Whether it is really on its way to deliver."""
        return self.launched_at is not None and self.over_at is None

    def has_reported(self, event_type: str) -> bool:
        return any(event.event_type == event_type for event in self.events)

    def finish(self, why: str, now: datetime) -> None:
        """Marks it as unable to deliver. Only the first reason counts."""
        if self.over_at is None:
            self.over_at, self.over_why = as_utc_text(now), why

    def record(self, event_type: str, occurred_at: datetime, message: str, due_s: float) -> None:
        """Queues a report for `due_s`, with the mission's report faults. Each type only once."""
        if self.has_reported(event_type):
            return
        number, manner = len(self.events), self.manner
        self.events.append(
            MissionEvent(
                event_id=f"{self.intent_id}:{event_type}",
                event_type=event_type,
                occurred_at=manner.at or as_utc_text(occurred_at + manner.ahead),
                message=message,
                outcome="kept silent" if manner.silent else "unsent",
                due_s=due_s + manner.delay_s,
                turn=number ^ 1 if manner.swapped else number,
                copies=0 if manner.silent else manner.copies,
            )
        )

    def next_report(self, now_s: float) -> MissionEvent | None:
        """The report to send now, in order of turns; None if none is due."""
        waiting = [event for event in self.events if event.copies]
        if not waiting:
            return None
        first = min(waiting, key=lambda event: event.turn)
        turns_due = len(self.events) - len(waiting)
        if first.turn > turns_due and not self.ended:
            return None
        return first if first.due_s <= now_s else None

    def summary(self) -> dict[str, Any]:
        return {
            "intent_id": self.intent_id,
            "order_id": self.order_id,
            "drone_id": self.drone_id,
            "status": self.status,
            "posts": self.posts,
            "events": [event.summary() for event in self.events],
        }

    def truth(self) -> dict[str, Any]:
        """Its real state, for tests."""
        return {
            "intent_id": self.intent_id,
            "order_id": self.order_id,
            "drone_id": self.drone_id,
            "live": self.over_at is None,
            "in_air": self.in_air,
            "accepted_at": self.accepted_at,
            "launched_at": self.launched_at,
            "over_at": self.over_at,
            "over_why": self.over_why,
            "gcs_says": self.status,
        }

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> "Mission":
        return cls(
            **values
            | {
                "events": [MissionEvent(**event) for event in values["events"]],
                "manner": Manner(**values["manner"]),
            }
        )


def as_utc_text(moment: datetime) -> str:
    """In the Fleet API's format: 2026-11-24T02:48:40.099989Z."""
    return moment.isoformat(timespec="microseconds").replace("+00:00", "Z")
