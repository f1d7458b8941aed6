"""A drone's state in the words and colours of the console. Pure."""

from datetime import datetime

from fleet.live.drone_status import LiveDrone, Readiness
from wingxtra.console.registry import Tone

READINESS: dict[Readiness, tuple[str, Tone]] = {
    Readiness.READY: ("Ready", Tone.GOOD),
    Readiness.BUSY: ("On a delivery", Tone.BUSY),
    Readiness.NOT_READY: ("Not ready", Tone.WARN),
    Readiness.GROUNDED: ("Grounded", Tone.BAD),
    Readiness.ON_HOLD: ("On hold", Tone.BAD),
    Readiness.OFFLINE: ("Offline", Tone.IDLE),
}
MODES = {True: "Armed", False: "Disarmed", None: "not known"}


def battery(live: LiveDrone) -> str:
    pct = live.telemetry.battery_pct if live.telemetry else None
    return "—" if pct is None else f"{pct:.0f} %"


def heard(live: LiveDrone, now: datetime) -> str:
    """“3 s ago”, “12 min ago”, “never”."""
    if live.telemetry is None:
        return "not usable" if live.problems else "never"
    seconds = (now - live.telemetry.seen_at).total_seconds()
    if seconds < 120:
        return f"{max(0, seconds):.0f} s ago"
    if seconds < 7200:
        return f"{seconds / 60:.0f} min ago"
    return f"{live.telemetry.seen_at:%d %b %H:%M} UTC"


def facts(live: LiveDrone, now: datetime) -> list[tuple[str, str]]:
    """What is known of the drone now, for its page and the map."""
    said = live.telemetry
    rows = [
        ("State", READINESS[live.readiness][0]),
        ("Battery", battery(live)),
        ("Heard", heard(live, now)),
    ]
    if said is not None:
        rows += [
            ("Motors", MODES[said.armed]),
            ("Mode", said.mode or "—"),
            ("Height", "—" if said.alt_m is None else f"{said.alt_m:.0f} m"),
            ("Speed", "—" if said.speed_mps is None else f"{said.speed_mps:.1f} m/s"),
            ("Position", "—" if said.lat is None else f"{said.lat:.5f}, {said.lng:.5f}"),
        ]
    if live.readiness not in (Readiness.READY, Readiness.BUSY):
        rows += [("Because", reason.message) for reason in live.reasons]
    told = " ".join(text for _, text in rows)
    # A reason may quote it already.
    rows += [("Telemetry", text) for text in live.problems if text.removesuffix(".") not in told]
    return rows
