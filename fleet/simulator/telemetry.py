"""Telemetry of a drone with sensor noise, in the Fleet API's format."""

import random
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from fleet.simulator.airframe import distance_m, moved
from fleet.simulator.flight import Aircraft
from fleet.simulator.missions import as_utc_text

POSITION_NOISE_M = 0.6
ALTITUDE_NOISE_M = 0.4
ENTRY_MEMBERS = {"last_seen_ts", "source_ip"}  # set by the Fleet API, outside the message
EMPTY_V, FULL_V = 18.6, 22.2  # a battery of six cells


@dataclass(frozen=True, slots=True)
class Reading:
    """One telemetry message and when the Fleet API received it. `alt_m` is above ground.

    changes: paths like "battery.remaining_pct" with values set by faults.
    """

    drone_id: str
    received_at: datetime
    measured_at: datetime
    lat: float
    lng: float
    alt_m: float
    yaw_deg: float
    groundspeed_mps: float
    armed: bool
    mode: str
    voltage_v: float
    remaining_pct: int
    rssi_dbm: int
    changes: tuple[tuple[str, Any], ...] = ()

    def repeated(self, received_at: datetime) -> "Reading":
        """The same measurement, received again."""
        return replace(self, received_at=received_at)

    def changed(self, path: str, value: Any) -> "Reading":
        return replace(self, changes=(*self.changes, (path, value)))

    def as_entry(self) -> dict[str, Any]:
        entry = self._true_entry()
        for path, value in self.changes:
            first, *rest = path.split(".")
            here = entry if first in ENTRY_MEMBERS else entry["telemetry"]
            for name in rest:
                if not isinstance(here.get(first), dict):
                    here[first] = {}
                here, first = here[first], name
            here[first] = value
        return entry

    def _true_entry(self) -> dict[str, Any]:
        return {
            "drone_id": self.drone_id,
            "last_seen_ts": as_utc_text(self.received_at),
            "source_ip": "127.0.0.1",
            "telemetry": {
                "schema_version": 1,
                "drone_id": self.drone_id,
                "ts": as_utc_text(self.measured_at),
                "position": {"lat": self.lat, "lon": self.lng, "alt_m": self.alt_m},
                "attitude": {"yaw_deg": self.yaw_deg},
                "velocity": {"groundspeed_mps": self.groundspeed_mps},
                "state": {"armed": self.armed, "mode": self.mode},
                "battery": {"voltage_v": self.voltage_v, "remaining_pct": self.remaining_pct},
                "link": {"rssi_dbm": self.rssi_dbm},
            },
        }


def read(aircraft: Aircraft, noise: random.Random, now: datetime) -> Reading:
    """The aircraft's sensor readings. Draws the same number of random values in every state."""
    east_m, north_m = noise.gauss(0, POSITION_NOISE_M), noise.gauss(0, POSITION_NOISE_M)
    lat, lng = moved(aircraft.lat, aircraft.lng, east_m, north_m)
    drone, used = aircraft.drone, 1 - aircraft.battery_pct / 100
    home_km = distance_m(aircraft.lat, aircraft.lng, drone.home_lat, drone.home_lng) / 1000
    delay_s = noise.uniform(0.002, 0.02)
    return Reading(
        drone_id=drone.drone_id,
        received_at=now,
        measured_at=now - timedelta(seconds=delay_s),
        lat=lat,
        lng=lng,
        alt_m=aircraft.alt_m + noise.gauss(0, ALTITUDE_NOISE_M),
        yaw_deg=(aircraft.heading_deg + noise.gauss(0, 1)) % 360,
        groundspeed_mps=max(0.0, aircraft.speed_mps + noise.gauss(0, 0.1)),
        armed=aircraft.armed,
        mode=aircraft.mode,
        voltage_v=FULL_V - (FULL_V - EMPTY_V) * used + noise.gauss(0, 0.01),
        remaining_pct=int(aircraft.battery_pct),
        rssi_dbm=round(-60 - 4 * home_km + noise.gauss(0, 2)),
    )


def latest(readings: Iterable[Reading], now: datetime, broken: set[str]) -> dict[str, Any]:
    """The answer of GET /api/v1/telemetry/latest; entries of `broken` drones are invalid."""
    drones = [reading.as_entry() for reading in readings]
    for entry in drones:
        if entry["drone_id"] in broken:
            entry["last_seen_ts"] = "yesterday"
            entry["telemetry"] |= {"position": {"lat": "north", "lon": 999, "alt_m": []}}
    return {"server_time": as_utc_text(now), "count": len(drones), "drones": drones}
