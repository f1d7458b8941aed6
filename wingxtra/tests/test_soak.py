"""The arithmetic and the verdicts of `make soak`."""

import pytest

from dispatch.missions.following.standing import HUB_RADIUS_M
from fleet.simulator.airframe import distance_m
from wingxtra.tests.drill import city
from wingxtra.tests.drill.outside import nearest
from wingxtra.tests.soak import report
from wingxtra.tests.soak.figures import (
    AtMost,
    Flat,
    Sample,
    Told,
    first_half,
    line,
    per_unit,
    percentile,
    second_half,
    series,
    slope_per_h,
    usually,
)

RATE = 1.0
STEADY = {
    "memory: web 1": 150.0,
    "memory: simulator": 90.0,
    "connections": 20,
    "connections: active": 2,
    "connections: idle": 17,
    "connections: idle in transaction": 1,
    "oldest idle transaction": 0.1,
    "PostgreSQL, each connection": 8.0,
    "orders waiting for a drone": 4,
    "orders not over": 40,
    "messages waiting": 3,
    "messages given up": 0,
    "outbox: rows due": 1,
    "outbox: oldest": 0.4,
    "POST /orders, p95": 60,
    "Valkey: data": 2.0,
    "Valkey: keys": 50,
    "Valkey: keys that never expire": 12,
}


def straight(per_minute: float, start: float = 0.0, minutes: int = 20) -> list[Sample]:
    """A sample of "it" every 10 seconds."""
    return [
        Sample(10.0 * n, {"it": start + per_minute * n / 6, "other": 10.0 * n})
        for n in range(6 * minutes + 1)
    ]


@pytest.mark.parametrize(
    ("points", "per_h"),
    [
        ([(0, 5), (10, 5), (20, 5)], 0),
        ([(0, 0), (10, 1), (20, 2)], 360),
        ([(100, 3), (3700, 2)], -1),
        # y = 1, 3, 2 at 0, 1, 2 s: the line of least squares rises by 0.5 a second.
        ([(0, 1), (1, 3), (2, 2)], 1800),
        # Not every ten seconds: the times count, not the number.
        ([(0, 0), (1, 1), (2, 2), (3600, 3600)], 3600),
    ],
)
def test_a_slope_is_that_of_the_line_of_least_squares(points, per_h: float) -> None:
    assert slope_per_h(points) == pytest.approx(per_h)


def test_a_slope_needs_two_times() -> None:
    with pytest.raises(ValueError, match="two different times"):
        slope_per_h([(5, 1), (5, 2)])


def test_the_second_half_starts_in_the_middle_of_the_time() -> None:
    assert second_half([(0, 1), (1, 1), (2, 1), (10, 1), (20, 1)]) == [(10, 1), (20, 1)]


@pytest.mark.parametrize(
    ("bound", "per_minute", "minutes", "kept"),
    [
        (Flat(per_h=24, noise=2), 0.0, 20, True),
        (Flat(per_h=24, noise=2), 0.39, 20, True),  # 23.4 an hour
        (Flat(per_h=24, noise=2), 0.41, 20, False),  # 4.1 in ten minutes
        (Flat(per_h=24, noise=2), 0.41, 8, True),  # 1.6 in four minutes
        (Flat(per_h=24, noise=2), -5.0, 20, True),
        (AtMost(10), 0.5, 20, True),
        (AtMost(10), 0.51, 20, False),
        (usually(10), 0.66, 20, True),  # 9.9 in the middle of the second half
        (usually(10), 0.67, 20, False),
        (Told(), 100.0, 20, None),
    ],
)
def test_a_bound(bound, per_minute: float, minutes: int, kept: bool | None) -> None:
    assert line(straight(per_minute, 0, minutes), "it", bound).verdict.kept is kept


def test_a_warm_up_is_not_growth() -> None:
    warm = [Sample(10.0 * n, {"it": min(100.0, 5.0 * n)}) for n in range(60)]
    found = line(warm, "it", Flat(per_h=1, noise=0))
    shown = (found.start, found.middle, found.end)
    assert (shown, found.verdict.kept) == ((0, 100, 100), True)


def test_a_line_through_few_points_is_not_judged() -> None:
    found = line(straight(1000, minutes=1)[:6], "it", Flat(per_h=0, noise=0))
    assert found.verdict.kept is None
    assert found.verdict.words == "not judged: 3 samples in the second half"


def test_a_thing_that_was_never_measured_is_an_error() -> None:
    with pytest.raises(ValueError, match="queue was never measured"):
        line(straight(1), "queue", Told())


def test_growth_per_unit_is_that_of_the_second_half() -> None:
    samples = [Sample(n, {"bytes": 1000.0 + n * n, "orders": 2.0 * n}) for n in range(11)]
    assert per_unit(samples, "bytes", "orders") == (100 - 25) / (20 - 10)
    without = [Sample(n, {"bytes": 1.0, "orders": 7.0}) for n in range(11)]
    assert per_unit(without, "bytes", "orders") is None


def test_growth_per_unit_of_the_first_half() -> None:
    samples = [Sample(n, {"bytes": 1000.0 + n * n, "orders": 2.0 * n}) for n in range(11)]
    assert per_unit(samples, "bytes", "orders", first_half) == 25 / 10


@pytest.mark.parametrize(
    ("values", "expected"), [([7.0], 7), ([3.0, 1.0, 2.0], 3), ([float(n) for n in range(100)], 94)]
)
def test_a_percentile_is_one_of_the_values(values: list[float], expected: float) -> None:
    assert percentile(values, 0.95) == expected


def test_a_series_leaves_out_samples_without_the_value() -> None:
    assert series([Sample(0, {"it": 1}), Sample(1, {}), Sample(2, {"it": 3})], "it") == [
        (0, 1),
        (2, 3),
    ]


def soaked(growing: str = "", per_minute: float = 0, kb_per_order: float = 20) -> list[Sample]:
    """Twenty minutes at RATE, in which one of STEADY grows."""
    samples = []
    for n in range(121):
        orders, rise = 10.0 * n * RATE, per_minute * n / 6
        values = {name: value + rise * (name == growing) for name, value in STEADY.items()}
        size = 1e6 + 1024 * kb_per_order * orders
        values |= {"orders placed": orders, "table: orders_order": size, "all tables": size}
        samples.append(Sample(10.0 * n, values))
    return samples


def test_a_steady_run_breaks_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    assert report.show(RATE, soaked()) == []
    printed = capsys.readouterr().out
    assert "memory: web 1" in printed
    assert "20,480" in printed  # bytes per order


def test_a_run_that_is_interrupted_at_once_shows_what_it_has(
    capsys: pytest.CaptureFixture[str],
) -> None:
    (first, *_) = soaked()
    values = {name: value for name, value in first.values.items() if name != report.POSTS}
    assert report.show(RATE, [Sample(0.0, values)]) == []
    assert "not judged: 1 samples in the second half" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("name", "per_minute", "is_broken"),
    [
        ("memory: web 1", 0.3, False),
        ("memory: web 1", 1.0, True),
        ("memory: simulator", 50.0, False),
        ("connections", 2.0, True),
        ("connections: idle in transaction", 1.0, False),
        ("oldest idle transaction", 2.0, True),
        ("PostgreSQL, each connection", 0.3, False),
        ("PostgreSQL, each connection", 0.5, True),
        ("orders waiting for a drone", 1.0, False),  # 60 an hour of 3,600
        ("orders waiting for a drone", 3.0, True),
        ("orders not over", 3.0, True),
        ("messages waiting", 3.0, True),
        ("messages given up", 0.1, True),
        ("outbox: rows due", 3.0, True),
        ("outbox: oldest", 2.0, True),
        ("POST /orders, p95", 100.0, True),
        ("Valkey: data", 0.5, True),
        ("Valkey: keys", 1000.0, False),  # they expire
        ("Valkey: keys that never expire", 2.0, True),
    ],
)
def test_what_grows_is_named(name: str, per_minute: float, is_broken: bool) -> None:
    found = report.show(RATE, soaked(name, per_minute))
    assert [words.startswith(f"{name}: ") for words in found] == [True] * is_broken


@pytest.mark.parametrize(("rows", "is_broken"), [(2.0, False), (50.0, True)])
def test_a_scan_of_a_growing_table_for_each_order_is_named(rows: float, is_broken: bool) -> None:
    """rows: scanned for each order that was placed before; 600 orders in a half."""
    samples = soaked()
    for n, sample in enumerate(samples):
        orders = sample.values["orders placed"]
        scanned = {"scanned: hooks": rows * orders**2 / 2, "scanned: drones": 1000 * orders}
        samples[n] = Sample(sample.at_s, {**sample.values, **scanned})
    words = f"hooks: an order scans {rows * 900:,.0f} rows of it, {rows * 300:,.0f} in the first"
    found = report.show(RATE, samples)
    assert [one.startswith(words) for one in found] == [True] * is_broken


def test_too_many_bytes_for_each_order_are_named() -> None:
    assert report.show(RATE, soaked(kb_per_order=61)) == [
        "all tables: 61.0 kB per order, at most 60"
    ]


@pytest.mark.parametrize("count", [30, 45, 80, 400, 800])
def test_each_drone_has_a_pad_of_its_own_at_its_hub(count: int) -> None:
    pads = [(one["home_lat"], one["home_lng"]) for one in city.drones(count)]
    assert len(set(pads)) == count
    assert max(nearest(city.HUBS, *pad)[1] for pad in pads) < HUB_RADIUS_M
    assert min(distance_m(*pads[0], *pad) for pad in pads[1:]) > 4
