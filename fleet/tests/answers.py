"""Answers of the Fleet API: one of the real service, and variations of it."""

import json
from copy import deepcopy
from typing import Any

# Unchanged answer of the real service.
REAL: dict[str, Any] = {
    "server_time": "2026-11-24T02:48:40.099989Z",
    "count": 3,
    "drones": [
        {
            "drone_id": "WX-DRN-001",
            "last_seen_ts": "2026-11-24T02:48:36.877743Z",
            "source_ip": "127.0.0.1",
            "telemetry": {
                "schema_version": 1,
                "drone_id": "WX-DRN-001",
                "ts": "2026-11-24T02:48:36.875000Z",
                "position": {
                    "lat": 5.603982821615486,
                    "lon": -0.1860408274744271,
                    "alt_m": 124.55754484364941,
                },
                "attitude": {"yaw_deg": 86.02036714553833},
                "velocity": {"groundspeed_mps": 14.95306644586677},
                "state": {"armed": True, "mode": "AUTO"},
                "battery": {"voltage_v": 22.19681406047609, "remaining_pct": 99},
                "link": {"rssi_dbm": -69},
            },
        },
        {
            "drone_id": "WX-DRN-002",
            "last_seen_ts": "2026-11-24T02:48:39.815924Z",
            "source_ip": "127.0.0.1",
            "telemetry": {
                "schema_version": 1,
                "drone_id": "WX-DRN-002",
                "ts": "2026-11-24T02:48:39.813000Z",
                "position": {
                    "lat": 5.603834180893691,
                    "lon": -0.18600904314535485,
                    "alt_m": 122.56358894512829,
                },
                "attitude": {"yaw_deg": 40.37605047225952},
                "velocity": {"groundspeed_mps": 13.116415900801302},
                "state": {"armed": True, "mode": "AUTO"},
                "battery": {"voltage_v": 22.19850459072325, "remaining_pct": 99},
                "link": {"rssi_dbm": -67},
            },
        },
        {
            "drone_id": "WX_PARTIAL",
            "last_seen_ts": "2026-11-24T02:48:40.091429Z",
            "source_ip": "127.0.0.1",
            "telemetry": {
                "schema_version": 1,
                "drone_id": "WX_PARTIAL",
                "ts": "2026-11-24T02:00:00Z",
                "position": {"lat": 5.6, "lon": -0.18, "alt_m": None},
                "attitude": None,
                "velocity": None,
                "state": None,
                "battery": None,
                "link": None,
            },
        },
    ],
}


# The real telemetry plugin in production mode: only position and yaw, and alt_m is the GPS accuracy
# in millimetres. The first drone has 1.2 m, a plausible altitude; the second has a bad fix.
PLUGIN: dict[str, Any] = {
    "server_time": "2026-11-24T02:48:40.099989Z",
    "count": 2,
    "drones": [
        {
            "drone_id": drone_id,
            "last_seen_ts": "2026-11-24T02:48:39.877743Z",
            "source_ip": "10.8.0.7",
            "telemetry": {
                "schema_version": 1,
                "drone_id": drone_id,
                "ts": "2026-11-24T02:48:39.875000Z",
                "position": {"lat": 5.603982821615486, "lon": -0.1860408274, "alt_m": accuracy_mm},
                "attitude": {"yaw_deg": 86.02036714553833},
                "velocity": None,
                "state": None,
                "battery": None,
                "link": None,
            },
        }
        for drone_id, accuracy_mm in [("WX-DRN-001", 1_210.0), ("WX-DRN-002", 48_000.0)]
    ],
}


def entry(drone_id: str = "WX-DRN-001", **changes: Any) -> dict[str, Any]:
    """One drone's entry. changes: path=value, like `telemetry__battery__remaining_pct=140`."""
    made = deepcopy(REAL["drones"][0])
    for path, value in {"drone_id": drone_id, "telemetry__drone_id": drone_id, **changes}.items():
        *sections, name = path.split("__")
        place = made
        for section in sections:
            place = place[section]
        place[name] = value
    return made


def body(*drones: Any, **members: Any) -> bytes:
    """An answer with these entries. NaN and infinity are written as Python's json writes them."""
    return json.dumps(REAL | {"count": len(drones), "drones": drones} | members).encode()
