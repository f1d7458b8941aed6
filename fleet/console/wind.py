"""Attention lines of the dashboard about the wind. Each line covers all hubs."""

from collections.abc import Iterator

import numpy as np

from fleet.console.shared import in_service, rules
from fleet.feasibility.geometry import Floats
from fleet.feasibility.winds import MAX_DISTANCE_M, Winds
from fleet.live import weather
from wingxtra.console.look import Look
from wingxtra.console.registry import Attention, Tone


def winds(look: Look) -> Winds | None:
    return weather.winds(look.once(rules), look.at)


def unknown_wind(look: Look) -> Iterator[Attention]:
    """Hubs with drones in service where the wind is unknown."""
    measured = look.once(winds)
    if measured is None:
        return
    max_age_min = f"{look.once(rules).weather_max_age_s / 60:.0f} min"
    if not len(measured):
        readings = weather.last()
        yield Attention(
            key="weather",
            level=37,
            text="The wind is unknown, so nothing is dispatched",
            detail=f"The weather source has given no usable reading for {max_age_min}. Repair it, "
            "or remove WEATHER_SOURCE.",
            since=readings.newest_at if readings else None,
            tone=Tone.BAD,
        )
        return
    names, lat, lng = _hubs(look)
    blind = [names[i] for i in np.flatnonzero(measured.at(lat, lng).unknown)]
    if blind:
        yield Attention(
            key="weather",
            level=37,
            text=f"The wind is unknown at {', '.join(blind)}, so nothing is dispatched there",
            detail=f"The weather source names no place within {MAX_DISTANCE_M / 1000:.0f} km with "
            f"a usable reading of the last {max_age_min}. Add one to it, or repair it.",
            tone=Tone.BAD,
        )


def too_much_wind(look: Look) -> Iterator[Attention]:
    """Hubs with drones in service where the wind is over the policy's limit."""
    measured, limit_mps = look.once(winds), look.once(rules).max_wind_mps
    if measured is None:
        return
    names, lat, lng = _hubs(look)
    windy = np.flatnonzero(measured.at(lat, lng).mps > limit_mps)
    if len(windy):
        said = []
        for i in windy:
            wind_mps, where = measured.strongest([(names[i], lat[i], lng[i])])
            said.append(f"{names[i]}: {wind_mps:.1f} m/s {where}")
        yield Attention(
            key="wind",
            level=21,
            text=f"Too much wind at {', '.join(names[i] for i in windy)}",
            detail=f"{'; '.join(said)}. The policy allows {limit_mps:g} m/s, so nothing "
            "is dispatched there until the wind is less.",
            tone=Tone.WARN,
        )


def _hubs(look: Look) -> tuple[list[str], Floats, Floats]:
    """Name and place of each hub with drones in service."""
    with_drones = {drone.hub.pk: drone.hub for drone in look.once(in_service)}
    hubs = sorted(with_drones.values(), key=lambda hub: hub.name)
    lat, lng = (np.array([getattr(hub, axis) for hub in hubs], float) for axis in ("lat", "lng"))
    return [hub.name for hub in hubs], lat, lng
