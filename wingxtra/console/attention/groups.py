"""From attention items to lines: one per object, then one per cause, the worst first. Pure."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from hashlib import sha256
from typing import Any, TypeVar

from django.http import QueryDict

from wingxtra.console import actions
from wingxtra.console.registry import Attention, Button, Tone
from wingxtra.sentences import sentence

T = TypeVar("T")

# A level has how bad the worst item is, and in its last digit the doublings of their number.
DOUBLINGS = 10
# Above the levels of all warnings.
GRAVE = 1000
# By its age alone an item gets worse by at most this.
AGES = 9


@dataclass(frozen=True, slots=True)
class Group:
    """A line of the dashboard: all items with one cause, the worst first.

    `cause` is its key: the same problem keeps it. `level`: see `level_of`. The tone is the worst
    item's. `since` is the earliest. `remedies` are for all items that allow them.
    """

    cause: str
    text: str
    detail: str
    items: tuple[Attention, ...]
    level: int
    tone: Tone
    since: datetime | None
    remedies: tuple[Button, ...]
    url: str = ""

    @property
    def count(self) -> int:
        """How many objects it is about."""
        return sum(item.count for item in self.items)

    @property
    def is_grave(self) -> bool:
        return self.tone is Tone.BAD

    @property
    def until_seen(self) -> bool:
        return all(item.until_seen for item in self.items)

    @property
    def shown(self) -> str:
        """What a page sends back that shows this line: see `has_news`."""
        keys = "\n".join(sorted(item.key for item in self.items))
        return f"{self.level}-{sha256(keys.encode()).hexdigest()[:16]}"

    def has_news(self, shown: str) -> bool:
        """Whether a person who acknowledges the line as it was `shown` has not seen all of it: it
        became worse; or, where an acknowledgement ends items for good, it has others.

        Raises ValueError.
        """
        level = int(shown.partition("-")[0])
        return self.shown != shown if self.until_seen else is_worse(self.level, level)


def level_of(worst: Attention, count: int) -> int:
    """The level of a line with this worst item and number of objects: see `is_worse`."""
    badness = GRAVE * (worst.tone is Tone.BAD) + worst.level
    return badness * DOUBLINGS + min(DOUBLINGS - 1, count.bit_length() - 1)


def is_worse(now: int, before: int) -> bool:
    """The worst item has become worse, or the number of objects has doubled.

    Neither makes up for the other: fewer warnings must not hide a grave item.
    """
    return now // DOUBLINGS > before // DOUBLINGS or now % DOUBLINGS > before % DOUBLINGS


def told_level(told: int, now: int) -> int:
    """What a person outside takes care of who was told of a line at the level `told`: the line as
    it is `now`, without what came since.
    """
    badness = min(now // DOUBLINGS, told // DOUBLINGS + AGES)
    return badness * DOUBLINGS + min(now % DOUBLINGS, told % DOUBLINGS)


def groups(items: Iterable[Attention]) -> list[Group]:
    """The lines of these items (see `one_each`), the worst first."""
    by_cause = _by(items, lambda item: item.cause or item.key)
    found = [_group(cause, of) for cause, of in by_cause.items()]
    return sorted(found, key=_order)


def one_each(items: Iterable[Attention]) -> list[Attention]:
    """One item per object, the worst first; items that are about no object stay as they are."""
    found = [_merged(of) for of in _by(items, lambda item: item.about or item.key).values()]
    return sorted(found, key=_order)


def _order(one: Attention | Group) -> tuple[bool, int, float]:
    """Grave ones first, then by level, then the oldest."""
    since = one.since.timestamp() if one.since else float("inf")
    return (one.tone is not Tone.BAD, -one.level, since)


def _merged(items: Sequence[Attention]) -> Attention:
    worst, *others = sorted(items, key=_order)
    if not others:
        return worst
    also = " ".join(f"{item.text}." for item in others)
    reason = next((item for item in others if not item.is_symptom), worst)
    of = reason if worst.is_symptom else worst
    return replace(
        worst,
        detail=f"{sentence(worst.detail)} Also: {also}".strip(),
        remedies=tuple({b.url: b for item in (worst, *others) for b in item.remedies}.values()),
        cause=of.cause or of.key,
        many=of.many,
        all_url=of.all_url,
        others=tuple(others),
    )


def _group(cause: str, items: Sequence[Attention]) -> Group:
    of = tuple(sorted(items, key=_order))
    worst = of[0]
    count = sum(item.count for item in of)
    if count == 1:
        return Group(
            cause,
            worst.text,
            worst.detail,
            of,
            level_of(worst, count),
            worst.tone,
            worst.since,
            worst.remedies,
            worst.url,
        )
    return Group(
        cause=cause,
        text=f"{count} {worst.many}",
        detail=_detail(of),
        items=of,
        level=level_of(worst, count),
        tone=worst.tone,
        since=min((item.since for item in of if item.since), default=None),
        remedies=_for_all(of),
        url=worst.all_url,
    )


def _detail(items: Sequence[Attention]) -> str:
    worst = items[0]
    grave = sum(item.count for item in items if item.tone is Tone.BAD)
    is_mixed = 0 < grave < sum(item.count for item in items)
    first = f"{grave} of them {'is' if grave == 1 else 'are'} grave. " if is_mixed else ""
    return f"{first}The worst: {sentence(worst.text)} {worst.detail}".strip()


def _for_all(items: Sequence[Attention]) -> tuple[Button, ...]:
    """One button per action that takes several objects, for the items that offer it."""
    offered = _by(
        (button for item in items for button in item.remedies if button.in_bulk),
        lambda button: button.url.partition("?")[0],
    )
    return tuple(_for_several(buttons, len(items)) for buttons in offered.values())


def _for_several(buttons: Sequence[Button], of: int) -> Button:
    ids = tuple(dict.fromkeys(pk for button in buttons for pk in button.ids))
    ids = ids[: actions.MAX_TARGETS]
    path, _, rest = buttons[0].url.partition("?")
    query = QueryDict(rest, mutable=True)
    query.setlist("id", list(ids))
    label = buttons[0].label if len(ids) == of else f"{buttons[0].label} ({len(ids)})"
    return replace(buttons[0], label=label, url=f"{path}?{query.urlencode(safe='/')}", ids=ids)


def _by(rows: Iterable[T], key: Callable[[T], Any]) -> dict[Any, list[T]]:
    found: defaultdict[Any, list[T]] = defaultdict(list)
    for row in rows:
        found[key(row)].append(row)
    return found
