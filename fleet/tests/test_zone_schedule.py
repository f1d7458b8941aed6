"""When a geographical zone is closed: clocks, the sun, midnight, and the change of clocks."""

from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleet.airspace import schedule, schedule_text
from fleet.airspace.schedule import DAYS, HORIZON, InvalidSchedule

ACCRA, PARIS, TROMSO = (5.6, -0.19), (48.85, 2.35), (69.65, 18.96)
MONDAY = datetime(2026, 6, 1, tzinfo=UTC)


def rule(days: str, opens: str, closes: str, **more: Any) -> dict[str, Any]:
    return {"days": days.split(), "from": opens, "until": closes, **more}


def closed(
    at: datetime, *rules: dict[str, Any], zone: str = "UTC", where: tuple[float, float] = ACCRA
) -> bool:
    spans = schedule.closures(rules, zone, *where, at)
    return any(start <= at < end for start, end in spans)


@pytest.mark.parametrize(
    ("hour", "is_closed"), [(7.99, False), (8, True), (16.99, True), (17, False)]
)
def test_hours_by_the_clock(hour: float, is_closed: bool) -> None:
    assert closed(MONDAY + timedelta(hours=hour), rule("MON TUE", "08:00", "17:00")) is is_closed


def test_another_weekday_is_open() -> None:
    assert not closed(MONDAY + timedelta(days=2, hours=9), rule("MON TUE", "08:00", "17:00"))


def test_hours_over_midnight_end_on_the_next_day() -> None:
    night = rule("SUN", "22:00", "02:00")
    assert closed(MONDAY + timedelta(hours=1), night)
    assert not closed(MONDAY + timedelta(hours=3), night)


def test_hours_are_by_the_clock_of_the_zone() -> None:
    morning = rule("MON", "08:00", "09:00")
    assert closed(MONDAY + timedelta(hours=6, minutes=30), morning, zone="Europe/Paris")
    assert not closed(MONDAY + timedelta(hours=8, minutes=30), morning, zone="Europe/Paris")


def test_a_time_with_an_offset_ignores_the_clock_of_the_zone() -> None:
    assert closed(MONDAY + timedelta(hours=8), rule("MON", "08:00Z", "09:00Z"), zone="Europe/Paris")


def test_a_day_that_ends_at_23_59_59_leaves_no_gap() -> None:
    spans = schedule.closures([rule("ANY", "00:00", "23:59:59")], "UTC", *ACCRA, MONDAY)
    assert spans == [(spans[0][0], MONDAY + HORIZON)]


def test_rules_apply_within_their_own_dates() -> None:
    festival = rule(
        "ANY", "00:00", "24:00", starts_at="2026-06-03T12:00:00Z", ends_at="2026-06-04T12:00:00Z"
    )
    spans = schedule.closures([festival], "UTC", *ACCRA, MONDAY)
    assert spans == [(MONDAY + timedelta(days=2, hours=12), MONDAY + timedelta(days=3, hours=12))]


@pytest.mark.parametrize(
    ("day", "opens", "closes"),
    [
        # Clocks go from 02:00 to 03:00: 02:30 does not exist, so both readings count.
        (date(2026, 3, 29), "2026-03-29T00:30:00Z", "2026-03-29T02:00:00Z"),
        # Clocks go from 03:00 back to 02:00: the first 02:30 opens.
        (date(2026, 10, 25), "2026-10-25T00:30:00Z", "2026-10-25T03:00:00Z"),
    ],
)
def test_on_the_days_on_which_clocks_change_the_longer_time_counts(
    day: date, opens: str, closes: str
) -> None:
    start = datetime.combine(day, time(), UTC) - timedelta(days=1)
    spans = schedule.closures([rule("SUN", "02:30", "04:00")], "Europe/Paris", *PARIS, start)
    assert spans[0] == (datetime.fromisoformat(opens), datetime.fromisoformat(closes))


def test_hours_by_the_sun() -> None:
    """Paris on 1 June 2026, UTC: sunrise 03:51, sunset 19:44 by the almanac."""
    ((rises, sets), *_) = schedule.closures([rule("MON", "SR", "SS")], "UTC", *PARIS, MONDAY)
    assert abs(rises - datetime(2026, 6, 1, 3, 51, tzinfo=UTC)) < timedelta(minutes=2)
    assert abs(sets - datetime(2026, 6, 1, 19, 44, tzinfo=UTC)) < timedelta(minutes=2)
    ((dawn, dusk), *_) = schedule.closures([rule("MON", "BMCT", "EECT")], "UTC", *PARIS, MONDAY)
    assert timedelta(minutes=25) < rises - dawn < timedelta(minutes=55)
    assert timedelta(minutes=25) < dusk - sets < timedelta(minutes=55)


def test_where_the_sun_does_not_set_the_whole_day_counts() -> None:
    ((start, end), *_) = schedule.closures([rule("MON", "SS", "SR")], "UTC", *TROMSO, MONDAY)
    assert (start, end) == (MONDAY, MONDAY + timedelta(days=1))


@pytest.mark.parametrize(
    ("broken", "text"),
    [
        (rule("", "08:00", "09:00"), "are no days"),
        (rule("MONDAY", "08:00", "09:00"), "are no days"),
        (rule("MON", "8 o'clock", "09:00"), "no time of the day"),
        (rule("MON", "25:00", "09:00"), "no time of the day"),
        (rule("MON", "08:00", "09:00", starts_at="2026-06-01T08:00:00"), "has no time zone"),
        (rule("MON", "08:00", "09:00", ends_at="soon"), "no date and time"),
    ],
)
def test_a_rule_that_cannot_be_read_is_refused(broken: dict[str, Any], text: str) -> None:
    with pytest.raises(InvalidSchedule, match=text):
        schedule.closures([broken], "UTC", *ACCRA, MONDAY)


MINUTES = st.integers(0, 24 * 4 - 1).map(lambda n: f"{n // 4:02}:{n % 4 * 15:02}")
RULES = st.lists(
    st.builds(
        lambda days, opens, closes: {"days": days, "from": opens, "until": closes},
        st.lists(st.sampled_from(DAYS), min_size=1, max_size=3),
        MINUTES,
        MINUTES,
    ),
    max_size=3,
)


def closed_by_definition(rules: list[dict[str, Any]], zone: ZoneInfo, at: datetime) -> bool:
    """Looks at the clock on the wall of this moment only; for days without a change of clocks."""
    local = at.astimezone(zone)
    today, before = DAYS[local.weekday()], DAYS[local.weekday() - 1]
    now = f"{local:%H:%M}"
    for one in rules:
        over_midnight = one["until"] <= one["from"]
        if today in one["days"] and one["from"] <= now and (over_midnight or now < one["until"]):
            return True
        if before in one["days"] and over_midnight and now < one["until"]:
            return True
    return False


@given(RULES, st.integers(0, 7 * 24 * 4 - 1), st.sampled_from(["UTC", "Asia/Kathmandu"]))
def test_closures_equal_the_definition(
    rules: list[dict[str, Any]], quarter: int, zone: str
) -> None:
    spans = schedule.closures(rules, zone, *ACCRA, MONDAY)
    at = MONDAY + timedelta(minutes=15 * quarter)
    found = any(start <= at < end for start, end in spans)
    assert found is closed_by_definition(rules, ZoneInfo(zone), at)
    assert spans == sorted(spans)


def test_lines_of_staff() -> None:
    text = "mon-wed, SAT 08:00-17:30\nANY SR-SS\nfri-mon 22:00-02:00"
    rules = schedule_text.rules_of(text)
    assert [one["days"] for one in rules] == [
        ["MON", "TUE", "WED", "SAT"],
        ["ANY"],
        ["FRI", "SAT", "SUN", "MON"],
    ]
    assert schedule_text.rules_of(schedule_text.lines_of(rules)) == rules


@pytest.mark.parametrize("line", ["tomorrow", "MON 08:00", "FOO 08:00-09:00", "MON 08:00-26:00"])
def test_a_line_that_cannot_be_read_is_named(line: str) -> None:
    with pytest.raises(InvalidSchedule):
        schedule_text.rules_of(line)
