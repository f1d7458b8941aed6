"""The drones that a person may choose for one order: filtered, sorted and in pages."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.http import QueryDict
from django.utils.functional import cached_property

from dispatch.planning.candidates import Candidate
from dispatch.planning.consequences import Taken
from fleet.live import picture
from orders.models import Order
from wingxtra.console.admin import duration
from wingxtra.console.registry import Feature, Tone

PER_PAGE = 25
# What is not known comes last.
LAST = float("inf")
SORTS: dict[str, Callable[[Candidate], Any]] = {
    "best": lambda one: 0,  # candidates come in this order
    "drone": lambda one: one.drone_id,
    "hub": lambda one: (one.hub, one.drone_id),
    "door": lambda one: LAST if one.eta_seconds is None else one.eta_seconds,
    "battery": lambda one: LAST if one.battery_pct is None else -one.battery_pct,
}
COLUMNS = {"drone": "Drone", "hub": "Hub", "door": "To the door", "battery": "Battery"}


@dataclass(frozen=True, slots=True)
class Row:
    """A candidate with what it means in words: for this order, and for the one that loses it."""

    candidate: Candidate
    beside_best: str
    promise: str
    promise_tone: Tone
    other: Order | None
    other_then: str
    other_tone: Tone


class Choices:
    """`query` narrows them: q (text), able, hub, sort, page. What it cannot mean is ignored."""

    def __init__(
        self,
        order: Order,
        candidates: Sequence[Candidate],
        query: QueryDict,
        now: datetime,
        taken: Callable[[], Mapping[str, Taken]],
    ) -> None:
        self.order, self.all, self.now, self.taken = order, candidates, now, taken
        self.query = query
        self.text = query.get("q", "").strip()[:100]
        self.able_only = bool(query.get("able"))
        self.hub = query.get("hub", "")
        sort = query.get("sort", "")
        self.sort = sort if sort in SORTS else "best"

    @cached_property
    def hubs(self) -> list[str]:
        return sorted({one.hub for one in self.all})

    @cached_property
    def able(self) -> int:
        return sum(one.feasible for one in self.all)

    @cached_property
    def found(self) -> list[Candidate]:
        wanted = [one for one in self.all if self._passes(one)]
        return sorted(wanted, key=SORTS[self.sort])

    def _passes(self, one: Candidate) -> bool:
        if (self.able_only and not one.feasible) or (self.hub and one.hub != self.hub):
            return False
        words = " ".join([one.drone_id, one.hub, *(reason.message for reason in one.reasons)])
        return all(word in words.casefold() for word in self.text.casefold().split())

    @property
    def pages(self) -> int:
        return max(1, -(-len(self.found) // PER_PAGE))

    @cached_property
    def page(self) -> int:
        asked = self.query.get("page", "")
        return min(max(1, int(asked)), self.pages) if asked.isdecimal() and asked.isascii() else 1

    @property
    def first(self) -> int:
        return (self.page - 1) * PER_PAGE + 1 if self.found else 0

    @property
    def last(self) -> int:
        return min(self.page * PER_PAGE, len(self.found))

    @cached_property
    def rows(self) -> list[Row]:
        """Those of the page."""
        taken = self.taken()
        soonest_s = min(
            (c.eta_seconds for c in self.all if c.feasible and c.eta_seconds), default=0
        )
        shown = self.found[(self.page - 1) * PER_PAGE : self.page * PER_PAGE]
        return [self._row(one, soonest_s, taken.get(one.drone_id)) for one in shown]

    def _row(self, one: Candidate, soonest_s: int, taken: Taken | None) -> Row:
        beside_best, promise, tone = "", "", Tone.IDLE
        if one.eta_seconds is not None:
            beside_best = _minutes(one.eta_seconds - soonest_s, "later", "") if soonest_s else ""
            at = self.now + timedelta(seconds=one.eta_seconds)
            promise, tone = in_words((at - self.order.deliver_by).total_seconds())
        then, other_tone = _without_it(taken)
        other = taken.order if taken else None
        return Row(one, beside_best, promise, tone, other, then, other_tone)

    # --- addresses -------------------------------------------------------------------------------

    def address(self, **changed: str) -> str:
        """The same page with another sort or page."""
        query = self.query.copy()
        for name, value in changed.items():
            query[name] = value
        return f"?{query.urlencode()}"

    @property
    def before(self) -> str:
        return self.address(page=str(self.page - 1)) if self.page > 1 else ""

    @property
    def after(self) -> str:
        return self.address(page=str(self.page + 1)) if self.page < self.pages else ""

    @property
    def columns(self) -> list[tuple[str, str, bool]]:
        """Title, address and whether the rows are sorted by it."""
        return [
            (title, self.address(sort=name, page="1"), self.sort == name)
            for name, title in COLUMNS.items()
        ]

    @property
    def kept(self) -> list[tuple[str, str]]:
        """What the filter's form must send along."""
        names = [name for name in ("id", "next", "sort") if name in self.query]
        return [(name, value) for name in names for value in self.query.getlist(name)]


def candidate_features(shown: Sequence[Candidate]) -> Iterator[Feature]:
    """The drones of a page on the map, by their latest telemetry. Raises RedisError."""
    fleet = picture.read()
    for one in shown:
        sample = fleet.telemetry.get(one.drone_id) if fleet else None
        if sample is None or sample.lat is None:
            continue
        door = "—" if one.eta_seconds is None else f"{round(one.eta_seconds / 60)} min"
        against = " ".join(reason.message for reason in one.reasons)
        yield Feature(
            f"drone-{one.drone_id}",
            "drone",
            {"type": "Point", "coordinates": [sample.lng, sample.lat]},
            one.drone_id,
            Tone.GOOD if one.feasible else Tone.WARN if one.overridable else Tone.BAD,
            [("To the door", door), ("Against it", against or "nothing")],
            heading_deg=sample.heading_deg,
        )


def in_words(late_s: float) -> tuple[str, Tone]:
    """“5 min late”, “12 min before the promise”."""
    span = duration(timedelta(seconds=abs(late_s)))
    if late_s > 0:
        return f"{span} late", Tone.BAD
    return f"{span} before the promise", Tone.GOOD


def _without_it(taken: Taken | None) -> tuple[str, Tone]:
    """What becomes of the order that the plan gives the drone to: “would be 5 min late”."""
    if taken is None:
        return "", Tone.IDLE
    if taken.late_s is None or taken.later_s is None:
        return "would have no drone", Tone.BAD
    if taken.late_s > 0:
        return f"would be {in_words(taken.late_s)[0]}", Tone.BAD
    later = _minutes(taken.later_s, "later", "as soon by another drone")
    return f"would be {later}, in time", Tone.WARN if taken.later_s >= 30 else Tone.GOOD


def _minutes(seconds: float, word: str, otherwise: str) -> str:
    minutes = round(seconds / 60)
    return f"{minutes} min {word}" if minutes > 0 else otherwise
