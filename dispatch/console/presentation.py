"""Texts and colours of decisions and missions in the console. Pure."""

from typing import Any

from dispatch.missions import identification
from dispatch.models import DispatchDecision, Mission
from dispatch.planning.explanations import PHRASES
from dispatch.planning.limits import open_hours, pilots, ready
from fleet.feasibility.reasons import Rule
from wingxtra.console.registry import Tone

OUTCOME_TONE: dict[str, Tone] = {
    DispatchDecision.Outcome.ASSIGNED: Tone.GOOD,
    DispatchDecision.Outcome.WAITING: Tone.BUSY,
    DispatchDecision.Outcome.UNASSIGNED: Tone.WARN,
    DispatchDecision.Outcome.OVERTAKEN: Tone.IDLE,
}
INTENT_TONE: dict[str, Tone] = {
    Mission.State.HELD: Tone.WARN,
    Mission.State.PENDING: Tone.WARN,
    Mission.State.ACCEPTED: Tone.GOOD,
    Mission.State.REJECTED: Tone.BAD,
    Mission.State.WITHDRAWN: Tone.IDLE,
}
# Members of an intent that are not known, and where to enter them.
NOT_KNOWN = {
    "operator_id": "Operator id: set OPERATOR_ID",
    "aircraft.registration": "Registration of the drone: enter it on the drone's page",
    "aircraft.serial": "Serial of the drone: enter it on the drone's page",
}
# They follow a number of drones.
REASONS = (
    {rule.code: phrase for rule, phrase in PHRASES.items()}
    | open_hours.PHRASES
    | pilots.PHRASES
    | ready.PHRASES
)


def not_identified(body: dict[str, Any]) -> str:
    """What a mission intent does not say of operator and aircraft, with the remedy; or a dash."""
    if "schema_version" not in body:
        return "Operator and drone: version 1 cannot name them, GCS_INTENT_VERSION=2 does."
    found = [NOT_KNOWN[member] for member in identification.unknown(body)]
    return f"{'. '.join(found)}." if found else "—"


def compared(other: dict[str, Any], chosen: dict[str, Any]) -> str:
    """A runner-up beside the chosen drone: “2 min later, 4 % more battery”; empty without one."""
    if not chosen:
        return ""
    minutes = round(other["delivery_s"] / 60) - round(chosen["delivery_s"] / 60)
    percent = round(other["energy_pct"]) - round(chosen["energy_pct"])
    differences = []
    if minutes:
        differences.append(f"{abs(minutes)} min {'later' if minutes > 0 else 'sooner'}")
    if percent:
        differences.append(f"{abs(percent)} % {'more' if percent > 0 else 'less'} battery")
    return ", ".join(differences) or "as soon, for as much battery"


def ruled_out(counts: list[dict[str, Any]]) -> list[str]:
    """“3 drones: with telemetry too old”, the most frequent reason first."""
    return [
        f"{count['drones']} drone{'' if count['drones'] == 1 else 's'}: "
        f"{REASONS.get(count['code'], count['code'])}"
        for count in counts
    ]


def main_cause(counts: list[dict[str, Any]]) -> str:
    """The code that rules out most drones of the order's own area; empty without drones there.

    `counts`: as in DispatchDecision.ruled_out, the most frequent first.
    """
    codes = [count["code"] for count in counts]
    return next((code for code in codes if code != Rule.OUTSIDE_AREA.code), "")


def cause_text(code: str) -> str:
    """“drones are below the minimum charge”, for `main_cause`."""
    return f"drones {REASONS[code]}" if code in REASONS else "no drone serves their area"


def advice(bridge_status: int | None) -> str:
    """What to do about a mission that does not get through, by the bridge's last HTTP status; None
    if it gave no answer.
    """
    if bridge_status is None:
        return (
            "Look whether ground control runs and whether GCS_BRIDGE_URL is right. The mission is "
            "sent by itself once ground control answers."
        )
    if bridge_status in (401, 403):
        return "Ground control does not accept our key: correct GCS_BRIDGE_KEY and restart."
    if bridge_status == 429:
        return "Ground control asks us to slow down. The mission is sent again by itself."
    if bridge_status >= 500:
        return "Ground control has a fault: call its staff. The mission is sent again by itself."
    return "Call the staff of ground control with this answer. The mission is sent again by itself."


def runner_up(other: dict[str, Any]) -> str:
    """“WX-DRN-007, 9 min to the door, 31 % of its battery; would cost the plan …”."""
    soon = f"able in {other['wait_s'] / 60:.0f} min, " if other.get("wait_s") else ""
    words = (
        f"{other['drone_id']}, {soon}{other['delivery_s'] / 60:.0f} min to the door, "
        f"{other['energy_pct']:.0f} % of its battery"
    )
    if "regret" not in other:  # decided before it was kept
        return f"{words}."
    return f"{words}; {regret(other)}."


def regret(other: dict[str, Any]) -> str:
    if other["regret"] is None:
        return "an order as urgent or more would lose its drone"
    if other["regret"] < 0.5:
        return "would be as good for the plan"
    minutes = other["regret"] / 60
    how_much = f"as much as {minutes:.0f} min" if minutes >= 1 else "less than a minute"
    return f"would cost the plan {how_much} of lateness of a normal order"
