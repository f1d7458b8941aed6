"""Texts and colours of decisions and missions in the console. Pure."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from dispatch.missions import identification
from dispatch.models import DispatchDecision, Mission
from dispatch.planning.explanations import PHRASES
from dispatch.planning.limits import open_hours, pilots, ready
from fleet.feasibility.reasons import Rule
from wingxtra.console.registry import Tone
from wingxtra.sentences import sentence

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


@dataclass(frozen=True, slots=True)
class Said:
    """What ground control answered. `text` if it is a sentence; else `lines` with labels, and the
    answer as it came (`raw`). `status` is the HTTP status in words.
    """

    status: str = ""
    tone: Tone = Tone.IDLE
    text: str = ""
    lines: tuple[tuple[str, str], ...] = ()
    raw: str = ""

    @property
    def is_empty(self) -> bool:
        return not (self.status or self.text or self.lines)

    @property
    def in_short(self) -> str:
        """One line, for lists."""
        told = self.text or ", ".join(f"{label}: {value}" for label, value in self.lines)
        return ". ".join(filter(None, (self.status, told))) or "—"


def said(bridge_status: int | None, answer: str) -> Said:
    """The columns `bridge_status` and `bridge_answer` of a mission in words."""
    status, tone = _in_words(bridge_status)
    try:
        body = json.loads(answer)
    except ValueError:  # a sentence
        return Said(status, tone, text=answer)
    if not isinstance(body, dict | list):
        return Said(status, tone, text=str(body))
    return Said(status, tone, lines=tuple(_labelled(body)), raw=json.dumps(body, indent=2))


def words_of(answer: str, most: int = 200) -> str:
    """Ground control's answer as a sentence of at most so many characters."""
    return sentence(said(None, answer).in_short[:most]) if answer else ""


def _in_words(bridge_status: int | None) -> tuple[str, Tone]:
    if bridge_status is None:
        return "", Tone.IDLE
    if bridge_status < 300:
        return f"Accepted ({bridge_status})", Tone.GOOD
    if bridge_status == 409:
        return f"Known already ({bridge_status})", Tone.GOOD
    if bridge_status < 500:
        return f"Refused ({bridge_status})", Tone.BAD
    return f"Its own fault ({bridge_status})", Tone.WARN


def _labelled(body: Any, label: str = "") -> Iterator[tuple[str, str]]:
    """A line per value; the label of a nested one names the way to it: “Detail, code”."""
    if isinstance(body, dict):
        members = [(str(name).replace("_", " "), value) for name, value in body.items()]
    else:
        members = [(f"no. {number}", value) for number, value in enumerate(body, 1)]
    for words, value in members:
        full = f"{label}, {words}" if label else words.capitalize()
        if isinstance(value, dict | list) and not _is_plain(value):
            yield from _labelled(value, full)
        else:
            yield full, _value_in_words(value)


def _is_plain(value: Any) -> bool:
    """Whether it is said in one line: empty, or a list without members of its own."""
    return not value or (
        isinstance(value, list) and not any(isinstance(one, dict | list) for one in value)
    )


def _value_in_words(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list) and value:
        return ", ".join(map(_value_in_words, value))
    return "none" if value in (None, "", [], {}) else str(value)


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
