"""Opening hours: tables of single cases, and a slow checker that looks at every minute."""

from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from wingxtra.opening_hours import WEEKDAYS, OpeningHours, first_common_opening, problems
from wingxtra.opening_hours import text as opening_hours_text

MINUTE = timedelta(minutes=1)
ACCRA, BERLIN, LORD_HOWE = "Africa/Accra", "Europe/Berlin", "Australia/Lord_Howe"
BEIRUT = "Asia/Beirut"  # changes its clock at midnight


def between(opens: str, closes: str) -> dict[str, str]:
    return {"opens": opens, "closes": closes}


def on(weekday: str, opens: str, closes: str) -> dict[str, str]:
    return {"weekday": weekday, **between(opens, closes)}


def table(
    *weekly: dict[str, str], zone: str = ACCRA, **exceptions: list[dict[str, str]]
) -> dict[str, Any]:
    """`exceptions`: by date, as d2026_12_25."""
    named = [
        {"date": name[1:].replace("_", "-"), "intervals": intervals}
        for name, intervals in exceptions.items()
    ]
    return {"timezone": zone, "weekly": list(weekly), "exceptions": named}


def local(text: str, zone: str = ACCRA, fold: int = 0) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone), fold=fold)


WORKDAYS = [on(day, "08:00", "20:00") for day in WEEKDAYS[:5]]
NIGHT = on("FRIDAY", "20:00", "02:00")
WHOLE_DAY = on("SUNDAY", "00:00", "24:00")


@pytest.mark.parametrize(
    ("hours", "at", "open_"),
    [
        # 30 November 2026 is a Monday.
        (table(*WORKDAYS), "2026-11-30T07:59", False),
        (table(*WORKDAYS), "2026-11-30T08:00", True),
        (table(*WORKDAYS), "2026-11-30T19:59:59", True),
        (table(*WORKDAYS), "2026-11-30T20:00", False),
        (table(*WORKDAYS), "2026-11-29T12:00", False),
        (table(), "2026-11-29T03:00", True),
        (table(d2026_12_25=[]), "2026-12-25T12:00", False),
        (table(d2026_12_25=[]), "2026-12-26T00:00", True),
        (table(NIGHT), "2026-12-04T23:59", True),
        (table(NIGHT), "2026-12-05T01:59", True),
        (table(NIGHT), "2026-12-05T02:00", False),
        (table(NIGHT), "2026-12-04T01:00", False),
        (table(NIGHT, d2026_12_05=[]), "2026-12-05T01:00", True),  # the night of Friday
        (table(NIGHT, d2026_12_04=[]), "2026-12-05T01:00", False),
        (table(WHOLE_DAY), "2026-11-29T23:59", True),
        (table(WHOLE_DAY), "2026-11-30T00:00", False),
        (table(on("SUNDAY", "18:00", "00:00")), "2026-11-29T23:59", True),
        (table(*WORKDAYS, d2026_11_30=[between("10:00", "11:00")]), "2026-11-30T09:00", False),
        (table(*WORKDAYS, d2026_11_29=[between("10:00", "11:00")]), "2026-11-29T10:30", True),
    ],
)
def test_it_is_open_by_the_clock_on_the_wall(hours: Any, at: str, open_: bool) -> None:
    assert OpeningHours.from_json(hours).is_open(local(at)) is open_


SUNDAY_NIGHT = table(on("SUNDAY", "02:30", "04:00"), zone=BERLIN)


@pytest.mark.parametrize(
    ("hours", "at", "opens"),
    [
        (table(*WORKDAYS), "2026-11-30T12:00", "2026-11-30T12:00Z"),
        (table(*WORKDAYS), "2026-11-30T20:00", "2026-12-01T08:00Z"),
        (table(*WORKDAYS), "2026-12-04T21:00", "2026-12-07T08:00Z"),
        (table(*WORKDAYS, d2026_12_07=[]), "2026-12-04T21:00", "2026-12-08T08:00Z"),
        (table(on("MONDAY", "08:00", "12:00"), on("MONDAY", "14:00", "18:00")),
         "2026-11-30T13:00", "2026-11-30T14:00Z"),
        (table(*WORKDAYS, zone=BERLIN), "2026-07-01T06:00", "2026-07-01T06:00Z"),  # 8:00 there
        # Berlin, 29 March 2026: 02:00 is followed by 03:00.
        (SUNDAY_NIGHT, "2026-03-29T00:00", "2026-03-29T01:00Z"),
        # 25 October 2026: 02:00 to 03:00 comes twice, from 00:00Z and from 01:00Z.
        (SUNDAY_NIGHT, "2026-10-25T00:00", "2026-10-25T00:30Z"),
        (table(on("SUNDAY", "01:00", "02:30"), zone=BERLIN), "2026-10-25T00:45",
         "2026-10-25T01:00Z"),
    ],
)  # fmt: skip
def test_the_next_opening(hours: Any, at: str, opens: str) -> None:
    found = OpeningHours.from_json(hours).next_opening(local(at))
    assert found == datetime.fromisoformat(opens)


LONDON, ADELAIDE = "Europe/London", "Australia/Adelaide"
LATE = table(on("SATURDAY", "20:00", "01:30"), zone=LONDON)


@pytest.mark.parametrize(
    ("hours", "at", "closes"),
    [
        (table(*WORKDAYS), "2026-11-30T12:00", "2026-11-30T20:00Z"),
        (table(*WORKDAYS), "2026-11-30T20:00", "2026-11-30T20:00Z"),
        (table(), "2026-11-30T20:00", None),
        (table(WHOLE_DAY, on("MONDAY", "00:00", "06:00")), "2026-11-29T12:00", "2026-11-30T06:00Z"),
        # A holiday begins at midnight; the night before it still ends as usual.
        (table(*WORKDAYS, NIGHT, d2026_12_05=[]), "2026-12-04T21:00", "2026-12-05T02:00Z"),
        (table(d2026_12_25=[]), "2026-12-24T12:00", "2026-12-25T00:00Z"),
        # London, 29 March 2026: 01:00 is followed by 02:00, so 01:30 does not come.
        (LATE, "2026-03-28T21:00", "2026-03-29T01:00Z"),
        # 25 October 2026: 01:00 to 02:00 comes twice, from 00:00Z and from 01:00Z.
        (LATE, "2026-10-24T21:00", "2026-10-25T00:30Z"),
        (LATE, "2026-10-25T01:00", "2026-10-25T01:30Z"),
        # Adelaide, 4 October 2026: from +09:30 to +10:30; 5 April: back.
        (table(on("SUNDAY", "01:00", "02:30"), zone=ADELAIDE), "2026-10-03T15:45",
         "2026-10-03T16:30Z"),
        (table(on("SUNDAY", "08:00", "18:00"), zone=ADELAIDE), "2026-10-04T00:00",
         "2026-10-04T07:30Z"),
        (table(on("SUNDAY", "08:00", "18:00"), zone=ADELAIDE), "2026-04-05T00:00",
         "2026-04-05T08:30Z"),
    ],
)  # fmt: skip
def test_the_next_closing(hours: Any, at: str, closes: str | None) -> None:
    found = OpeningHours.from_json(hours).next_closing(local(at))
    assert found == (datetime.fromisoformat(closes) if closes else None)


def test_the_spans_of_a_night_with_a_changed_clock() -> None:
    spans = OpeningHours.from_json(LATE).spans
    night = datetime(2026, 10, 24, 20, tzinfo=UTC), datetime(2026, 10, 25, 12, tzinfo=UTC)
    assert [f"{a:%H:%M}-{b:%H:%M}" for a, b in spans(*night)] == ["20:00-00:30", "01:00-01:30"]
    always = OpeningHours.from_json(table())
    assert list(always.spans(*night)) == [night]
    assert list(spans(night[1], night[1] + timedelta(days=3))) == []


def test_the_first_common_opening_of_two_places() -> None:
    mornings = OpeningHours.from_json(table(on("MONDAY", "08:00", "12:00")))
    noons = OpeningHours.from_json(table(on("MONDAY", "11:00", "13:00"), d2026_11_30=[]))
    at = local("2026-11-30T09:00")
    assert first_common_opening([], at) == at
    assert first_common_opening([mornings], at) == at
    assert first_common_opening([mornings, noons], at) == local("2026-12-07T11:00")
    tuesdays = OpeningHours.from_json(table(on("TUESDAY", "08:00", "12:00")))
    assert first_common_opening([mornings, tuesdays], at) is None


def test_an_hour_that_the_clock_skips_is_not_open() -> None:
    hours = OpeningHours.from_json(table(on("SUNDAY", "02:00", "03:00"), zone=BERLIN))
    night = [datetime(2026, 3, 28, 22, tzinfo=UTC) + n * MINUTE for n in range(300)]
    assert not any(hours.is_open(at) for at in night)
    assert hours.next_opening(night[0]) == local("2026-04-05T02:00", BERLIN)


def test_an_hour_that_the_clock_shows_twice_is_open_twice() -> None:
    hours = OpeningHours.from_json(table(on("SUNDAY", "02:00", "02:30"), zone=BERLIN))
    night = [datetime(2026, 10, 24, 22, tzinfo=UTC) + n * MINUTE for n in range(300)]
    assert sum(hours.is_open(at) for at in night) == 60


def test_hours_without_an_opening_within_a_year() -> None:
    start = date(2026, 1, 1)
    days = [f"d{start + timedelta(days=n)}".replace("-", "_") for n in range(400)]
    hours = OpeningHours.from_json(table(**{day: [] for day in days}))
    assert hours.next_opening(local("2026-01-01T00:00")) is None


def test_the_words_are_of_the_place() -> None:
    hours = OpeningHours.from_json(table(zone=BERLIN))
    assert hours.said(datetime(2026, 11, 30, 7, tzinfo=UTC)) == "Monday 30 November at 08:00"


@pytest.mark.parametrize(
    ("hours", "members"),
    [
        (table(*WORKDAYS, NIGHT, d2026_12_25=[]), []),
        (table(zone="Africa"), ["timezone"]),
        (table(zone="../etc/passwd"), ["timezone"]),
        (table(on("MONDAY", "08:00", "08:00")), ["weekly.0.closes"]),
        (table(d2026_12_25=[between("01:00", "01:00")]), ["exceptions.0.intervals.0.closes"]),
    ],
)
def test_what_is_wrong_with_hours(hours: Any, members: list[str]) -> None:
    assert [member for member, _ in problems(hours)] == members


def test_a_date_can_be_an_exception_once() -> None:
    day = {"date": "2026-12-25", "intervals": []}
    hours = {"timezone": ACCRA, "weekly": [], "exceptions": [day, day]}
    assert [member for member, _ in problems(hours)] == ["exceptions.1.date"]


# --- against a slow checker ----------------------------------------------------------------------


def clock(minutes: int) -> str:
    return f"{minutes // 60:02}:{minutes % 60:02}"


QUARTERS = st.integers(0, 95).map(lambda n: n * 15)
INTERVAL = (
    st.tuples(QUARTERS, st.integers(1, 96).map(lambda n: n * 15))
    .filter(lambda ends: ends[0] != ends[1])
    .map(lambda ends: between(clock(ends[0]), clock(ends[1])))
)
# The days around a change of the clock, in Berlin, Lord Howe (by half an hour) and Beirut.
CHANGES = [
    (BERLIN, date(2026, 3, 28)),
    (BERLIN, date(2026, 10, 24)),
    (LORD_HOWE, date(2026, 4, 4)),
    (LORD_HOWE, date(2026, 10, 3)),
    (BEIRUT, date(2026, 3, 28)),
    (BEIRUT, date(2026, 10, 24)),
    (ACCRA, date(2026, 11, 28)),
]


@st.composite
def cases(draw: Any) -> tuple[dict[str, Any], datetime]:
    zone, day = draw(st.sampled_from(CHANGES))
    weekly = [
        {"weekday": draw(st.sampled_from([*WEEKDAYS[4:], WEEKDAYS[0]])), **interval}
        for interval in draw(st.lists(INTERVAL, min_size=1, max_size=4))
    ]
    dates = draw(st.lists(st.integers(0, 3), max_size=2, unique=True))
    exceptions = [
        {"date": str(day + timedelta(days=n)), "intervals": draw(st.lists(INTERVAL, max_size=2))}
        for n in dates
    ]
    minutes = draw(st.integers(0, 3 * 24 * 60))
    at = datetime(day.year, day.month, day.day, tzinfo=UTC) + minutes * MINUTE
    return {"timezone": zone, "weekly": weekly, "exceptions": exceptions}, at


def slowly_open(hours: dict[str, Any], at: datetime) -> bool:
    """Compares texts: “2026-03-29 02:30” and the like."""
    shown = at.astimezone(ZoneInfo(hours["timezone"]))
    now = f"{shown:%Y-%m-%d %H:%M}"
    for day in (shown.date() - timedelta(days=1), shown.date()):
        listed = [e["intervals"] for e in hours["exceptions"] if e["date"] == str(day)]
        weekday = f"{day:%A}".upper()
        usual = [e for e in hours["weekly"] if e["weekday"] == weekday]
        for interval in listed[0] if listed else usual:
            runs_over = interval["closes"] <= interval["opens"]
            ends_on = day + timedelta(days=1) if runs_over else day
            if f"{day} {interval['opens']}" <= now < f"{ends_on} {interval['closes']}":
                return True
    return False


@given(cases())
@example((table(on("SUNDAY", "02:15", "02:45"), zone=BERLIN), datetime(2026, 3, 28, tzinfo=UTC)))
def test_it_agrees_with_a_look_at_every_minute(case: tuple[dict[str, Any], datetime]) -> None:
    hours, at = case
    quick = OpeningHours.from_json(hours)
    minutes = [at + n * MINUTE for n in range(9 * 24 * 60)]
    opened = next((minute for minute in minutes if slowly_open(hours, minute)), None)
    assert quick.is_open(at) == (opened == at)
    if opened is not None:
        assert quick.next_opening(at) == opened
    closed = next((minute for minute in minutes if not slowly_open(hours, minute)), None)
    if closed is not None:
        assert quick.next_closing(at) == closed


@given(cases())
def test_spans_are_the_minutes_at_which_it_is_open(case: tuple[dict[str, Any], datetime]) -> None:
    hours, at = case
    end = at + timedelta(days=2)
    spans = list(OpeningHours.from_json(hours).spans(at, end))
    for minute in (at + n * MINUTE for n in range(0, 2 * 24 * 60, 5)):
        assert any(a <= minute < b for a, b in spans) == slowly_open(hours, minute), minute


# --- as people write them ------------------------------------------------------------------------


def test_hours_are_read_from_lines() -> None:
    read = opening_hours_text.read_weekly(
        "Sat-mon 8:00-12:00, 14:00 – 24:00\n\nFriday: 20:00-02:00"
    )
    assert read == [
        *[
            entry
            for day in ("SATURDAY", "SUNDAY", "MONDAY")
            for entry in (on(day, "08:00", "12:00"), on(day, "14:00", "24:00"))
        ],
        NIGHT,
    ]
    assert opening_hours_text.read_exceptions("2026-12-25 Closed\n2026-12-31 08:00-12:00") == [
        {"date": "2026-12-25", "intervals": []},
        {"date": "2026-12-31", "intervals": [between("08:00", "12:00")]},
    ]


@pytest.mark.parametrize(
    "line", ["Funday 08:00-12:00", "Mon", "Mon 08:00", "Mon 8-12", "Mon 25:00-26:00", "Mon closed"]
)
def test_a_weekly_line_that_is_none_is_quoted(line: str) -> None:
    with pytest.raises(opening_hours_text.Unreadable, match=line):
        opening_hours_text.read_weekly(f"Tue 08:00-12:00\n{line}")


@pytest.mark.parametrize("line", ["2026-02-30 closed", "25.12. closed", "2026-12-25 shut"])
def test_an_exception_that_is_none_is_quoted(line: str) -> None:
    with pytest.raises(opening_hours_text.Unreadable, match=line):
        opening_hours_text.read_exceptions(line)


def test_days_are_read_and_said() -> None:
    days = opening_hours_text.read_days("Sat-Mon, wednesday")
    assert days == ["MONDAY", "WEDNESDAY", "SATURDAY", "SUNDAY"]
    assert opening_hours_text.days_said(days) == "Monday, Wednesday, Saturday-Sunday"
    assert opening_hours_text.days_said(WEEKDAYS[:5]) == "Monday-Friday"
    for bad in ("", "Mo", "Mon-", "Mon Tue", "Funday", "Mon,"):
        with pytest.raises(opening_hours_text.Unreadable):
            opening_hours_text.read_days(bad)


def test_days_with_the_same_hours_share_a_line() -> None:
    hours = {"weekly": [on(day, "08:00", "12:00") for day in ("MONDAY", "TUESDAY", "THURSDAY")]}
    assert opening_hours_text.weekly_lines(hours) == (
        "Monday-Tuesday 08:00-12:00\nThursday 08:00-12:00"
    )


@given(cases())
def test_written_hours_are_read_as_the_same(case: tuple[dict[str, Any], datetime]) -> None:
    hours, at = case
    again = {
        "timezone": hours["timezone"],
        "weekly": opening_hours_text.read_weekly(opening_hours_text.weekly_lines(hours)),
        "exceptions": opening_hours_text.read_exceptions(opening_hours_text.exception_lines(hours)),
    }
    for days in range(4):
        moment = at + timedelta(days=days)
        assert OpeningHours.from_json(again).is_open(moment) == OpeningHours.from_json(
            hours
        ).is_open(moment)
