"""Decisions and missions in the words and colours of the console. Pure."""

from typing import Any

from dispatch.explanations import PHRASES
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
    """“3 drones: with telemetry too old”, the most frequent reason first."""
    phrases = {rule.code: phrase for rule, phrase in PHRASES.items()}
    return [
        f"{count['drones']} drone{'' if count['drones'] == 1 else 's'}: "
        f"{phrases.get(count['code'], count['code'])}"
        for count in counts
    ]
