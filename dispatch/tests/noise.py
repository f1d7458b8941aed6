"""Telemetry faults, as seeded functions from samples to samples."""

import random
from collections.abc import Callable
from datetime import timedelta
from typing import Any

from msgspec.structs import replace

from fleet.live.telemetry import Telemetry
from fleet.simulator.airframe import moved

Samples = list[Telemetry]
Noise = Callable[[random.Random, Samples], Samples]

VALUES = ("armed", "alt_m", "speed_mps", "position")


def wrong_values(chance: random.Random, samples: Samples) -> Samples:
    """One wrong value in one or two samples in a row, up to four times."""
    samples = list(samples)
    for _ in range(chance.randint(1, 4)):
        value, at = chance.choice(VALUES), chance.randrange(max(1, len(samples) - 2))
        wrong = _wrong(chance, value, samples[at])
        for i in range(at, min(at + chance.randint(1, 2), len(samples))):
            samples[i] = replace(samples[i], **wrong)
    return samples


def _wrong(chance: random.Random, value: str, sample: Telemetry) -> dict[str, Any]:
    match value:
        case "armed":
            return {"armed": not sample.armed}
        case "alt_m":
            return {"alt_m": chance.choice([0.0, 8.0, 60.0, chance.uniform(-200, 900)])}
        case "speed_mps":
            return {"speed_mps": chance.choice([0.0, chance.uniform(0, 40)])}
        case _:
            if sample.lat is None or sample.lng is None:
                return {}
            metres = chance.choice([300, 3000, 40_000])
            east_m, north_m = chance.uniform(-metres, metres), chance.uniform(-metres, metres)
            lat, lng = moved(sample.lat, sample.lng, east_m, north_m)
            return {"lat": lat, "lng": lng}


def frozen(chance: random.Random, samples: Samples) -> Samples:
    """One value, or all, repeat for up to a dozen samples."""
    value = chance.choice([*VALUES, "all"])
    start, end = _window(chance, samples)
    repeated = {name: getattr(samples[start], name) for name in _fields(value)}
    return [
        replace(sample, **repeated) if start <= i < end else sample
        for i, sample in enumerate(samples)
    ]


def without(chance: random.Random, samples: Samples) -> Samples:
    """One value is null for a while, or in all samples."""
    nothing = dict.fromkeys(_fields(chance.choice(VALUES)))
    start, end = chance.choice([_window(chance, samples), (0, len(samples))])
    return [
        replace(sample, **nothing) if start <= i < end else sample
        for i, sample in enumerate(samples)
    ]


def swapped(chance: random.Random, samples: Samples) -> Samples:
    samples = list(samples)
    for i in range(len(samples) - 1):
        if chance.random() < 0.2:
            samples[i], samples[i + 1] = samples[i + 1], samples[i]
    return samples


def lost(chance: random.Random, samples: Samples) -> Samples:
    """Random samples, or many in a row."""
    if chance.random() < 0.5:
        return [sample for sample in samples if chance.random() > 0.3]
    start = chance.randrange(len(samples))
    return samples[:start] + samples[start + chance.randint(2, 60) :]


def offset(chance: random.Random, samples: Samples) -> Samples:
    """Altitudes with another datum, such as sea level."""
    return _raised(samples, chance.choice([-30.0, 124.0, chance.uniform(-100, 2000)]), 0)


def another_datum(chance: random.Random, samples: Samples) -> Samples:
    """A change of datum in flight."""
    shift_m = chance.choice([-124.0, 124.0, chance.uniform(-300, 300)])
    return _raised(samples, shift_m, chance.randrange(len(samples)))


def another_quantity(chance: random.Random, samples: Samples) -> Samples:
    """The accuracy in millimetres instead of the altitude."""
    return [replace(sample, alt_m=float(chance.randint(400, 3000))) for sample in samples]


def bare(chance: random.Random, samples: Samples) -> Samples:
    """Only positions for a while, and the accuracy in millimetres as altitude."""
    start = chance.randrange(len(samples))
    end = start + chance.randint(2, 40)
    return [
        replace(sample, alt_m=float(chance.randint(800, 1700)), speed_mps=None, armed=None)
        if start <= i < end
        else sample
        for i, sample in enumerate(samples)
    ]


def late(chance: random.Random, samples: Samples) -> Samples:
    """Some samples are repeated later."""
    again = sorted(chance.sample(range(len(samples)), len(samples) // 10))
    samples = list(samples)
    for i in reversed(again):
        samples.insert(min(i + chance.randint(1, 8), len(samples)), samples[i])
    return samples


def jittering(chance: random.Random, samples: Samples) -> Samples:
    """Timestamps up to 90 ms early, never out of order."""
    return [
        replace(
            sample, measured_at=sample.measured_at - timedelta(milliseconds=chance.random() * 90)
        )
        for sample in samples
    ]


EVERY: tuple[Noise, ...] = (
    wrong_values,
    wrong_values,
    frozen,
    without,
    swapped,
    lost,
    offset,
    another_datum,
    another_quantity,
    bare,
    late,
    jittering,
)


def _fields(value: str) -> list[str]:
    if value == "all":
        return ["armed", "alt_m", "speed_mps", "lat", "lng"]
    return ["lat", "lng"] if value == "position" else [value]


def _window(chance: random.Random, samples: Samples) -> tuple[int, int]:
    start = chance.randrange(len(samples))
    return start, start + chance.randint(2, 12)


def _raised(samples: Samples, shift_m: float, start: int) -> Samples:
    return [
        replace(sample, alt_m=sample.alt_m + shift_m)
        if i >= start and sample.alt_m is not None
        else sample
        for i, sample in enumerate(samples)
    ]
