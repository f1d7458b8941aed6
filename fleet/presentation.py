"""Texts and colours of drones and hubs in the console. Pure."""

from datetime import datetime

from fleet.live.drone_status import LiveDrone, Readiness
from fleet.models import Hub
from fleet.traffic import Traffic
from wingxtra.console.registry import Tone

READINESS: dict[Readiness, tuple[str, Tone]] = {
    Readiness.READY: ("Ready", Tone.GOOD),
    Readiness.BUSY: ("On a mission", Tone.BUSY),
    Readiness.NOT_READY: ("Not ready", Tone.WARN),
    Readiness.GROUNDED: ("Grounded", Tone.BAD),
    Readiness.ON_HOLD: ("On hold", Tone.BAD),
    Readiness.OFFLINE: ("Offline", Tone.IDLE),
}
MODES = {True: "Armed", False: "Disarmed", None: "unknown"}


def battery(live: LiveDrone) -> str:
    pct = live.telemetry.battery_pct if live.telemetry else None
    return "—" if pct is None else f"{pct:.0f} %"


def last_telemetry(live: LiveDrone, now: datetime) -> str:
    """“3 s ago”, “12 min ago”, “never”."""
    if live.telemetry is None:
        return "unusable" if live.problems else "never"
    seconds = (now - live.telemetry.seen_at).total_seconds()
    if seconds < 120:
        return f"{max(0, seconds):.0f} s ago"
    if seconds < 7200:
        return f"{seconds / 60:.0f} min ago"
    return f"{live.telemetry.seen_at:%d %b %H:%M} UTC"


def state_rows(live: LiveDrone, now: datetime) -> list[tuple[str, str]]:
    """Label and text of each value, for the drone's page and the map."""
    sample = live.telemetry
    rows = [
        ("State", READINESS[live.readiness][0]),
        ("Stands at", live.drone.hub.name),
        ("Base", live.drone.base.name),
        ("Battery", battery(live)),
        ("Last telemetry", last_telemetry(live, now)),
    ]
    if sample is not None:
        rows += [
            ("Motors", MODES[sample.armed]),
            ("Mode", sample.mode or "—"),
            ("Height", "—" if sample.alt_m is None else f"{sample.alt_m:.0f} m"),
            ("Speed", "—" if sample.speed_mps is None else f"{sample.speed_mps:.1f} m/s"),
            (
                "Position",
                "—" if sample.lat is None else f"{sample.lat:.5f}, {sample.lng:.5f}",
            ),
        ]
    if live.readiness not in (Readiness.READY, Readiness.BUSY):
        rows += [("Because", reason.message) for reason in live.reasons]
    # A reason may contain the problem already.
    shown = " ".join(text for _, text in rows)
    rows += [("Telemetry", text) for text in live.problems if text.removesuffix(".") not in shown]
    return rows


def hub_rows(hub: Hub, seen: Traffic) -> list[tuple[str, str]]:
    """Label and text of each value, for the hub's page and the map."""
    rows = [
        ("Stand here", f"{seen.pads_text(hub)} pads" if hub.pads else str(seen.standing)),
        ("Have still to land", str(seen.coming)),
        ("Chargers", "Any number" if hub.chargers is None else str(hub.chargers)),
        ("Belong elsewhere", str(seen.surplus)),
        ("Based here, elsewhere now", str(seen.away)),
    ]
    if seen.is_over(hub):
        rows.append(("Too many", "More drones stand here or come than it has pads."))
    return rows
