"""The output of a drill: a table of actions and outcomes, and each finding."""

from collections import Counter
from collections.abc import Iterable

from wingxtra.tests.drill.blows import Blows
from wingxtra.tests.drill.chaos import Chaos
from wingxtra.tests.drill.checks import Database, Finding
from wingxtra.tests.drill.merchants import Merchants
from wingxtra.tests.drill.outside import Truth
from wingxtra.tests.drill.staff import Desk

STORIES = 6  # findings of one kind that are printed in full


def show(
    chaos: Chaos,
    blows: Blows,
    merchants: Merchants,
    desk: Desk,
    database: Database,
    truth: Truth,
    took_s: float,
    found: list[Finding],
) -> None:
    orders = database.orders().values()
    missions = [mission for of_order in truth.missions.values() for mission in of_order]
    print()
    _row("orders placed", f"{len(merchants.placed)}, {merchants.canceled} of them called off")
    _row("ended as", _counts(row["status"] for row in orders))
    _row("parcels", _counts(row["holder"] for row in orders))
    _row("in truth", _counts(truth.where(row["id"]) for row in orders))
    _row("missions flown", _counts(m["over_why"] or "not over" for m in missions))
    _row("faults", _counts(chaos.faults.elements()))
    _row("blows", ", ".join(_blow(*one) for one in sorted(blows.back_after_s.items())) or "none")
    doubts = database.rows("SELECT code FROM dispatch_discrepancy")
    _row("contradictions", _counts(row["code"] for row in doubts))
    holds = database.rows("SELECT code FROM fleet_dronehold")
    _row("drones held", _counts(row["code"] for row in holds))
    _row("attention lines", _counts(key.partition(":")[0] for key in desk.seen))
    _row("remedies used", _counts(desk.used.elements()))
    _row("found by people", f"{len(desk.found)} parcels that were said to be delivered")
    _row("put right within", f"{took_s:.0f} s")
    _row("findings", _counts(one.check for one in found))
    told: Counter[str] = Counter()
    for one in found:
        told[one.check] += 1
        if told[one.check] <= STORIES:
            _tell(one, database, truth)


def _tell(one: Finding, database: Database, truth: Truth) -> None:
    print(f"\nFINDING  {one.check}: {one.words}")
    if not one.about:
        return
    print(f"  order {one.about}")
    for line in database.story(one.about):
        print(f"    {line}")
    print("  in truth")
    parcel = truth.parcels.get(one.about)
    for stop in parcel["stops"] if parcel else []:
        print(f"    {stop['at'][11:19]} {stop['where']} {stop['drone_id'] or ''}")
    for mission in truth.missions.get(one.about, []):
        print(
            f"    mission {mission['intent_id']} {mission['drone_id']}: accepted "
            f"{_clock(mission['accepted_at'])}, launched {_clock(mission['launched_at'])}, over "
            f"{_clock(mission['over_at'])} ({mission['over_why']}); told: {mission['gcs_says']}"
        )


def _row(name: str, words: str) -> None:
    print(f"{name:18} {words}")


def _blow(name: str, took_s: list[float]) -> str:
    times = f"{len(took_s)} times, at most " if len(took_s) > 1 else ""
    return f"{name} ({times}{max(took_s):.1f} s)"


def _counts(words: Iterable[str]) -> str:
    return ", ".join(f"{count} {word}" for word, count in Counter(words).most_common()) or "none"


def _clock(text: str | None) -> str:
    return text[11:19] if text else "never"
