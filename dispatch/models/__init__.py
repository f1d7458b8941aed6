"""Dispatch decisions, missions for ground control, and flights."""

from dispatch.models.clearances import Clearance, ClearanceQuerySet
from dispatch.models.doubts import Discrepancy, PublishingPause
from dispatch.models.flights import (
    ErrandFlight,
    Flight,
    FollowerLease,
    MissionReport,
    TrackPiece,
)
from dispatch.models.missions import (
    MAX_FLIGHT,
    MAX_TIME_HOME,
    Mission,
    MissionPart,
    MissionPartQuerySet,
    MissionQuerySet,
    PilotChange,
)
from dispatch.models.occurrences import Occurrence, OccurrenceFile, OccurrenceNote
from dispatch.models.records import FlightRecord, Missing
from dispatch.models.runs import DispatchDecision, DispatchRun
from dispatch.models.whatifs import WhatIf, WhatIfQuerySet
from dispatch.shift.models import ShiftNote

__all__ = [
    "MAX_FLIGHT",
    "MAX_TIME_HOME",
    "Clearance",
    "ClearanceQuerySet",
    "Discrepancy",
    "DispatchDecision",
    "DispatchRun",
    "ErrandFlight",
    "Flight",
    "FlightRecord",
    "FollowerLease",
    "Missing",
    "Mission",
    "MissionPart",
    "MissionPartQuerySet",
    "MissionQuerySet",
    "MissionReport",
    "Occurrence",
    "OccurrenceFile",
    "OccurrenceNote",
    "PilotChange",
    "PublishingPause",
    "ShiftNote",
    "TrackPiece",
    "WhatIf",
    "WhatIfQuerySet",
]
