"""The port to a service that clears flights. The setting CLEARANCE chooses the adapter.

No answer is ever a yes: what is not Granted keeps the mission from being published.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Protocol
from uuid import UUID

from django.conf import settings
from django.utils.module_loading import import_string

from dispatch.missions.clearance.planned import PlannedFlight

NONE = "none"
ADAPTERS = {"flight_blender": "dispatch.missions.clearance.flight_blender.FlightBlender"}


class ClearanceUnavailable(Exception):
    """No usable answer; it may or may not have taken effect. `code` is stable."""

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(detail)
        self.code, self.detail = code, detail


@dataclass(frozen=True, slots=True)
class Granted:
    """`known_as`: the service's id. `starts_at`, `ends_at`: None as in the flight that was asked
    for.
    """

    known_as: str
    starts_at: datetime | None = None
    ends_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Wait:
    """The service has it and has not decided."""

    known_as: str
    code: str
    why: str


@dataclass(frozen=True, slots=True)
class Refused:
    """This declaration will not be granted. Another one may be, later."""

    code: str
    why: str


Answer = Granted | Wait | Refused


class Service(Protocol):
    """Each method is one exchange, at most CLEARANCE_TIMEOUT_S long, and raises
    ClearanceUnavailable.
    """

    name: str

    def ask(self, flight: PlannedFlight, known_as: str, *, look_first: bool) -> Answer:
        """The state of the flight `known_as`, or of a new declaration if that is empty or unknown
        to the service. `look_first`: an earlier declaration was not answered and may be there.
        """

    def check(self, known_as: str, *, conforms: bool) -> Answer:
        """The present state; Refused if the service does not know it any more. conforms: false
        when we have told that the flight is outside of its corridor, which withdraws nothing.
        """

    def flies(self, known_as: str, *, conforms: bool) -> None:
        """Tell that the drone is in the air, inside or outside of the declared corridor."""

    def ended(self, mission_id: UUID, known_as: str, *, flown: bool) -> None:
        """Tell that the flight is over, unless it is so for the service. Without `known_as` the
        declaration is looked for.
        """


def service() -> Service | None:
    """None: flights are published without a clearance."""
    if settings.CLEARANCE == NONE:
        return None
    found: Service = import_string(ADAPTERS[settings.CLEARANCE])()
    return found
