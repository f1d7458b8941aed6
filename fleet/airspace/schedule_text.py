"""The weekly hours of a zone as staff write them: “MON-FRI 08:00-17:30”, “ANY SR-SS”. Pure."""

import re
from collections.abc import Iterable
from typing import Any

from fleet.airspace.schedule import ANY_DAY, DAYS, InvalidSchedule, Json, WeeklyRule

LINE = re.compile(r"\s*(?P<days>[A-Z,\- ]+?)\s+(?P<from>[\w:]+)\s*[-–]\s*(?P<until>[\w:]+)\s*")


def rules_of(text: str) -> list[dict[str, Any]]:
    """The rules of these lines. Raises InvalidSchedule with the line."""
    rules = []
    for line in filter(None, map(str.strip, text.upper().splitlines())):
        found = LINE.fullmatch(line)
        if found is None:
            raise InvalidSchedule(f"“{line}”: write a line like MON-FRI 08:00-17:30 or ANY SR-SS.")
        rule = {"days": _days(found["days"]), "from": found["from"], "until": found["until"]}
        WeeklyRule.from_json(rule)
        rules.append(rule)
    return rules


def lines_of(rules: Iterable[Json]) -> str:
    return "\n".join(f"{','.join(rule['days'])} {rule['from']}-{rule['until']}" for rule in rules)


def _days(text: str) -> list[str]:
    """MON-FRI, SAT,SUN or ANY as a list; a range may cross the weekend."""
    days: list[str] = []
    for part in text.replace(" ", "").split(","):
        first, dash, last = part.partition("-")
        if not dash or first not in DAYS or last not in DAYS:
            days.append(part)
            continue
        start, end = DAYS.index(first), DAYS.index(last)
        days += [DAYS[i % 7] for i in range(start, end + 1 + 7 * (end < start))]
    return [ANY_DAY] if ANY_DAY in days else days
