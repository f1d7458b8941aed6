"""A mission as the GCS keeps it: the intent, how often it was posted, and what was reported."""

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator

SCHEMA_PATH = Path(__file__).parents[2] / "docs" / "contracts" / "mission_intent.schema.json"
COURSE = ("LAUNCHED", "ENROUTE", "ARRIVED", "DELIVERING", "DELIVERED")
ENDS = {"DELIVERED", "FAILED", "ABORTED"}


class Refused(Exception):
    """The GCS will not fly this: a stable code, and the reason in words with its numbers."""

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(detail)
        self.code = code
        self.detail = detail


@dataclass(slots=True)
class MissionEvent:
    """One report. `event_id` is the same however often the report is sent."""

    event_id: str
    event_type: str
    occurred_at: str
    message: str
    outcome: str = "unsent"


@dataclass(slots=True)
class Mission:
    """An accepted intent. `reported` counts the events that the receiver has answered."""

    intent: dict[str, Any]
    posts: int = 1
    withdrawn: bool = False
    events: list[MissionEvent] = field(default_factory=list)
    reported: int = 0

    @property
    def intent_id(self) -> str:
        return str(self.intent["intent_id"])

    @property
    def status(self) -> str:
        """ACCEPTED, WITHDRAWN, or the last event's type."""
        if self.withdrawn:
            return "WITHDRAWN"
        return self.events[-1].event_type if self.events else "ACCEPTED"

    @property
    def ended(self) -> bool:
        return self.withdrawn or self.status in ENDS

    def record(self, event_type: str, occurred_at: datetime, message: str) -> None:
        stamp = as_utc_text(occurred_at)
        event_id = f"{self.intent_id}:{event_type}"
        self.events.append(MissionEvent(event_id, event_type, stamp, message))

    def summary(self) -> dict[str, Any]:
        return {
            "intent_id": self.intent_id,
            "order_id": self.intent["order_id"],
            "drone_id": self.intent["drone_id"],
            "status": self.status,
            "posts": self.posts,
            "events": [asdict(event) for event in self.events],
        }

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> "Mission":
        return cls(**values | {"events": [MissionEvent(**event) for event in values["events"]]})


def as_utc_text(moment: datetime) -> str:
    """As the Fleet API writes it: 2026-11-24T02:48:40.099989Z."""
    return moment.isoformat(timespec="microseconds").replace("+00:00", "Z")


@cache
def _validator() -> Draft202012Validator:
    schema = json.loads(SCHEMA_PATH.read_text())
    return Draft202012Validator(schema, format_checker=Draft202012Validator.FORMAT_CHECKER)


def check_intent(body: object) -> dict[str, Any]:
    """The intent when it keeps the contract. Raises Refused with everything that is wrong."""
    problems = [
        f"{'.'.join(map(str, error.path)) or 'intent'}: {error.message}"
        for error in _sorted(_validator().iter_errors(body))
    ]
    if problems:
        raise Refused("malformed_intent", "; ".join(problems))
    assert isinstance(body, dict)  # noqa: S101 - the schema has just said so
    dropoff = body["dropoff"]
    if dropoff["delivery_alt_m"] > dropoff["alt_m"]:
        raise Refused(
            "malformed_intent",
            f"dropoff.delivery_alt_m: {dropoff['delivery_alt_m']} m is above the cruise altitude "
            f"of {dropoff['alt_m']} m",
        )
    return body


def _sorted(errors: Iterable[Any]) -> list[Any]:
    return sorted(errors, key=lambda error: list(map(str, error.path)))
