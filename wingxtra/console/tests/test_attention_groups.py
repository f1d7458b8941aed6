"""Lines of the dashboard as a pure function of the items: tables."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from wingxtra.console.attention.groups import groups, is_worse, level_of, one_each, told_level
from wingxtra.console.registry import Attention, Button, Tone

NOON = datetime(2026, 6, 1, 12, tzinfo=UTC)
NO_DRONE = Attention(
    key="",
    level=8,
    text="No drone can take order",
    detail="12 of 12 are below the minimum charge.",
    cause="no-drone:battery",
    many="orders have no able drone: drones below the minimum charge",
    all_url="/orders/?tab=queued",
)
LATE = Attention(
    key="",
    level=10,
    text="Order is late by 12 min",
    tone=Tone.BAD,
    cause="late",
    many="orders are late",
    is_symptom=True,
)
LINK = Attention(
    key="link:1", level=35, text="Link lost", tone=Tone.BAD, cause="link", many="links"
)


def of_order(kind: Attention, number: int, **more: object) -> Attention:
    name = f"{kind.cause}:{number}"
    return replace(kind, key=name, about=f"order:{number}", since=NOON, **more)  # type: ignore[arg-type]


def button(name: str, *ids: str, in_bulk: bool = True) -> Button:
    query = "&".join(f"id={one}" for one in ids)
    return Button(f"{name}…", f"/do/{name}/?{query}&next=/admin/", "may", ids, in_bulk)


def test_600_orders_without_a_drone_are_one_line_with_its_cause() -> None:
    (line,) = groups(one_each([of_order(NO_DRONE, n) for n in range(600)]))
    assert line.cause == "no-drone:battery"
    assert line.text == "600 orders have no able drone: drones below the minimum charge"
    assert line.count == len(line.items) == 600
    assert line.url == "/orders/?tab=queued"
    assert not line.is_grave


def test_late_orders_go_to_the_cause_of_their_delay_and_make_it_grave() -> None:
    items = [of_order(NO_DRONE, n) for n in range(600)] + [of_order(LATE, n) for n in range(28)]
    (line,) = groups(one_each(items))
    assert line.text == "600 orders have no able drone: drones below the minimum charge"
    assert line.is_grave
    assert line.detail.startswith("28 of them are grave. The worst: Order is late by 12 min.")
    assert "Also: No drone can take order." in line.items[0].detail


def test_an_order_with_three_troubles_is_one_item_the_worst_with_all_remedies() -> None:
    items = [
        of_order(LATE, 1, remedies=(button("assign", "1"),)),
        of_order(NO_DRONE, 1, remedies=(button("assign", "1"), button("dispatch", "1"))),
        replace(LINK, about="order:1", remedies=(button("failed", "1"),)),
    ]
    (item,) = one_each(items)
    assert (item.text, item.cause, item.key) == ("Link lost", "link", "link:1")
    assert "Also: Order is late by 12 min. No drone can take order." in item.detail
    assert [b.label for b in item.remedies] == ["failed…", "assign…", "dispatch…"]


def test_items_about_no_object_are_not_merged() -> None:
    two = [Attention("paused:1", 30, "One"), Attention("paused:2", 30, "Two")]
    assert len(groups(one_each(two))) == 2


@pytest.mark.parametrize(
    ("count", "level"), [(1, 80), (2, 81), (3, 81), (4, 82), (600, 89), (100_000, 89)]
)
def test_each_doubling_raises_the_level(count: int, level: int) -> None:
    items = [of_order(NO_DRONE, 1)]
    if count > 1:
        items.append(replace(NO_DRONE, key="rest", count=count - 1))
    (line,) = groups(items)
    assert (line.level, line.count) == (level, count)


@pytest.mark.parametrize(
    ("item", "count", "worse"),
    [
        (NO_DRONE, 4, False),
        (NO_DRONE, 3, False),
        (NO_DRONE, 8, True),
        (replace(NO_DRONE, level=9), 1, True),
        (replace(NO_DRONE, level=1), 1000, True),
        (replace(NO_DRONE, level=1, tone=Tone.BAD), 1, True),
    ],
)
def test_a_line_is_worse_by_its_worst_item_or_by_twice_as_many(
    item: Attention, count: int, worse: bool
) -> None:
    assert is_worse(level_of(item, count), level_of(NO_DRONE, 4)) is worse


def test_who_was_told_of_a_line_knows_its_kind_and_number_but_not_what_came_since() -> None:
    told = level_of(NO_DRONE, 4)
    older, fewer = level_of(replace(NO_DRONE, level=12), 4), level_of(NO_DRONE, 1)
    assert (told_level(told, older), told_level(told, fewer)) == (older, fewer)
    for news in (
        level_of(NO_DRONE, 600),
        level_of(replace(NO_DRONE, level=28), 4),
        level_of(replace(NO_DRONE, tone=Tone.BAD), 4),
    ):
        assert is_worse(news, told_level(told, news))


def test_grave_lines_come_first_then_the_level_then_the_oldest() -> None:
    older = Attention("c", 30, "c", since=NOON - timedelta(hours=1))
    items = [Attention("a", 40, "a"), Attention("b", 30, "b", since=NOON), older, LINK]
    assert [line.cause for line in groups(items)] == ["link", "a", "c", "b"]


def test_a_group_offers_each_action_once_for_all_that_allow_it() -> None:
    items = [
        of_order(NO_DRONE, 1, remedies=(button("assign", "1", in_bulk=False), button("go", "1"))),
        of_order(NO_DRONE, 2, remedies=(button("go", "2"),)),
        of_order(NO_DRONE, 3, remedies=(button("go", "3"), button("stop", "3"))),
    ]
    (line,) = groups(items)
    assert [(b.label, b.ids) for b in line.remedies] == [
        ("go…", ("1", "2", "3")),
        ("stop… (1)", ("3",)),
    ]
    assert line.remedies[0].url == "/do/go/?id=1&id=2&id=3&next=/admin/"


def test_a_group_acts_on_the_worst_200_and_says_so() -> None:
    items = [of_order(NO_DRONE, n, remedies=(button("go", str(n)),)) for n in range(600)]
    urgent = of_order(NO_DRONE, 700, level=20, remedies=(button("go", "700"),))
    (line,) = groups([*items, urgent])
    assert line.remedies[0].label == "go… (200)"
    assert line.remedies[0].ids[0] == "700"
    assert line.items[0] == urgent


def test_a_cause_with_one_object_is_the_item_itself() -> None:
    item = of_order(NO_DRONE, 1, url="/orders/1/", remedies=(button("assign", "1"),))
    (line,) = groups([item])
    assert (line.text, line.url, line.remedies) == (item.text, "/orders/1/", item.remedies)
