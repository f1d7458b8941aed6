"""When maintenance is due: a table, and properties against a slow count. No database."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleet.airworthiness import maintenance, serials
from fleet.airworthiness.maintenance import Counters, Done, Due, Interval

NEW = datetime(2026, 3, 1, 8, tzinfo=UTC)
NOTHING = Counters(0, 0)


def rule(flights=None, hours=None, days=None, soon_pct=10.0, name="50 h inspection") -> Interval:
    return Interval(name, flights, hours, days, soon_pct)


def standing(one: Interval, flights=0, hours=0.0, after=timedelta(0)) -> maintenance.Standing:
    counters = Counters(flights, round(hours * 3600))
    return maintenance.standing(counters, Done(NEW, NOTHING), one, NEW + after)


@pytest.mark.parametrize(
    ("one", "used", "due", "text"),
    [
        (rule(hours=50), {"hours": 10}, Due.LATER, "50 h inspection in 40 h (10 of 50 h)"),
        (rule(hours=50), {"hours": 44.9}, Due.LATER, "50 h inspection in 5.1 h (45 of 50 h)"),
        (rule(hours=50), {"hours": 45}, Due.SOON, "due soon: 50 h inspection in 5 h (45 of 50 h)"),
        (rule(hours=50), {"hours": 50}, Due.OVERDUE, "due now: 50 h inspection (50 of 50 h)"),
        (
            rule(hours=50),
            {"hours": 53},
            Due.OVERDUE,
            "overdue: 50 h inspection since 3 h (53 of 50 h)",
        ),
        (
            rule(100, name="Arms"),
            {"flights": 101},
            Due.OVERDUE,
            "overdue: Arms since 1 flight (101 of 100 flights)",
        ),
        (
            rule(100, name="Arms", soon_pct=0),
            {"flights": 99},
            Due.LATER,
            "Arms in 1 flight (99 of 100 flights)",
        ),
        (
            rule(days=30, name="Month"),
            {"after": timedelta(days=32, hours=12)},
            Due.OVERDUE,
            "overdue: Month since 2.5 days (32 of 30 days)",
        ),
        (
            rule(100, 50, 365),
            {"flights": 3, "hours": 49, "after": timedelta(days=2)},
            Due.SOON,
            "due soon: 50 h inspection in 1 h (49 of 50 h)",
        ),
    ],
)
def test_a_rule_says_what_is_left_or_since_when_it_is_overdue(one, used, due, text) -> None:
    found = standing(one, **used)
    assert (found.due, str(found)) == (due, text)


def test_a_rule_counts_from_the_last_maintenance() -> None:
    done = Done(NEW + timedelta(days=10), Counters(200, 50 * 3600))
    counters, now = Counters(260, 60 * 3600), NEW + timedelta(days=20)
    found = maintenance.standing(counters, done, rule(100, 50, 30), now)
    assert (found.used, found.unit, found.due) == (60, "flights", Due.LATER)


def test_counters_that_were_corrected_down_and_a_clock_that_went_back_count_as_nothing() -> None:
    done = Done(NEW, Counters(200, 3600))
    found = maintenance.standing(NOTHING, done, rule(100, 50, 30), NEW - timedelta(days=1))
    assert (found.used, found.due) == (0, Due.LATER)


def test_a_day_is_24_hours_when_the_clocks_change() -> None:
    berlin = ZoneInfo("Europe/Berlin")
    done = datetime(2026, 3, 28, 12, tzinfo=berlin)  # the clocks go forward that night
    almost = datetime(2026, 3, 29, 12, 59, tzinfo=berlin).astimezone(UTC)
    daily = rule(days=1)
    for now, due in [(almost, Due.SOON), (almost + timedelta(minutes=1), Due.OVERDUE)]:
        found = maintenance.standing(NOTHING, Done(done.astimezone(UTC), NOTHING), daily, now)
        assert found.due == due


def test_a_rule_without_an_interval_is_an_error() -> None:
    with pytest.raises(ValueError, match="no interval"):
        standing(rule())


intervals = st.builds(
    rule,
    st.integers(1, 500),
    st.none() | st.floats(0.1, 500),
    st.none() | st.integers(1, 400),
    st.floats(0, 90),
)


@given(intervals, st.integers(0, 2000), st.floats(0, 2000), st.integers(0, 2000))
def test_the_worst_of_the_measures_decides(one, flights, hours, days) -> None:
    found = standing(one, flights, hours, timedelta(days=days))
    pairs = [(flights, one.every_flights), (round(hours * 3600) / 3600, one.every_hours)]
    pairs.append((days, one.every_days))
    over = [every is not None and used >= every for used, every in pairs]
    assert (found.due == Due.OVERDUE) == any(over)
    more = standing(one, flights + 1, hours + 1, timedelta(days=days + 1))
    assert more.due >= found.due


@pytest.mark.parametrize(
    ("text", "scheme", "why"),
    [
        ("1596F0123456789ABCDE", serials.SCHEME, ""),
        ("MFR11Z", serials.SCHEME, ""),
        ("ABCD3XYZ", serials.SCHEME, ""),
        ("ABCD3XY", serials.OWN, "the length 3 asks for 3, 2 follow"),
        ("ABCD3XYZ9", serials.OWN, "the length 3 asks for 3, 4 follow"),
        ("ABCO3XYZ", serials.OWN, "without O and I"),
        ("ABCD3XIZ", serials.OWN, "without O and I"),
        ("ABCD0", serials.OWN, "a length from 1 to F"),
        ("abcd3xyz", serials.OWN, "not a code"),
        ("Prototype 7", serials.OWN, "not a code"),
    ],
)
def test_a_serial_says_which_scheme_it_follows(text, scheme, why) -> None:
    found = serials.parse(text)
    assert (found.text, found.scheme) == (text, scheme)
    assert why in found.why_not


def test_the_manufacturer_of_a_serial() -> None:
    assert serials.parse("1596F0123456789ABCDE").manufacturer == "1596"
