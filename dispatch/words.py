"""Decisions and missions in the words and colours of the console. Pure."""

from typing import Any

from dispatch.models import DispatchDecision, MissionIntent
from wingxtra.console.registry import Tone

OUTCOME_TONE: dict[str, Tone] = {
    DispatchDecision.Outcome.ASSIGNED: Tone.GOOD,
    DispatchDecision.Outcome.UNASSIGNED: Tone.WARN,
    DispatchDecision.Outcome.OVERTAKEN: Tone.IDLE,
}
INTENT_TONE: dict[str, Tone] = {
    MissionIntent.State.HELD: Tone.WARN,
    MissionIntent.State.PENDING: Tone.WARN,
    MissionIntent.State.ACCEPTED: Tone.GOOD,
    MissionIntent.State.REJECTED: Tone.BAD,
    MissionIntent.State.WITHDRAWN: Tone.IDLE,
}


def ruled_out(counts: list[dict[str, Any]]) -> list[str]:
    """“telemetry old: 3 drones”, the most frequent reason first."""
    return [
        f"{count['code'].replace('_', ' ').capitalize()}: "
        f"{count['drones']} drone{'' if count['drones'] == 1 else 's'}"
        for count in counts
    ]
