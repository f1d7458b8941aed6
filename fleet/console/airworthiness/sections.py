"""Sections of a drone's page and of a hub's page."""

from typing import Any

from django.http import HttpRequest
from django.urls import reverse
from django.utils import timezone
from django.utils.safestring import SafeString

from fleet.airworthiness import fitness, serials
from fleet.airworthiness.fitness import day_at
from fleet.airworthiness.maintenance import HOUR_S, Due, Standing
from fleet.console.airworthiness.acting import lacking
from fleet.models import Attestation, Defect, Drone, Hub
from wingxtra.console import actions, registry
from wingxtra.console.admin import badge, moment, said_by
from wingxtra.console.registry import Button, Section, Tone

MAX_SHOWN = 10
DUE = {
    Due.OVERDUE: ("Overdue", Tone.BAD),
    Due.SOON: ("Due soon", Tone.WARN),
    Due.LATER: ("Later", Tone.GOOD),
}
STATUS_TONES = {
    "IN_SERVICE": Tone.GOOD,
    "IN_MAINTENANCE": Tone.WARN,
    "RETIRED": Tone.IDLE,
}


def aircraft(drone: Drone, request: HttpRequest) -> Section:
    """Serial, registration, status, counters and battery packs."""
    status = drone.service_status
    facts: list[tuple[str, SafeString | str]] = [
        ("Service status", badge(status.label, STATUS_TONES[status])),
        ("Serial", _serial(drone.serial)),
        ("Registration", drone.registration or "—"),
        ("Flights", f"{drone.flights:,}"),
        ("Hours in the air", f"{drone.flight_seconds / HOUR_S:,.1f}"),
        ("Battery cycles", f"{drone.cycles:,}"),
    ]
    facts += [
        (f"Pack {pack}", f"{pack.cycles:,} cycles{f'; {pack.note}' if pack.note else ''}")
        for pack in drone.packs.all()
    ]
    return Section("Aircraft", "console/drone/aircraft.html", {"facts": facts})


def _serial(text: str) -> str:
    if not text:
        return "—"
    found = serials.parse(text)
    if found.why_not:
        return f"{text} ({found.scheme}; for {serials.SCHEME}: {found.why_not})"
    return f"{text} ({found.scheme}, manufacturer {found.manufacturer})"


def maintenance(drone: Drone, request: HttpRequest) -> Section:
    """Each rule of its kind with what is left, and the latest records."""
    rows = [
        {"name": one.name, "state": badge(*DUE[one.due]), "left": _left(one)}
        for one in fitness.standings(drone, timezone.now())
    ]
    done = [
        {
            "name": row.rule.name,
            "at": moment(row.done_at),
            "by": said_by(row.recorded_by),
            "done": row.done,
            "counters": f"{row.flights:,} flights, {row.flight_seconds / HOUR_S:,.1f} h",
        }
        for row in drone.maintenance.select_related("rule")[:MAX_SHOWN]
    ]
    every = f"{reverse('admin:fleet_maintenance_changelist')}?q={drone.pk}"
    context = {"rows": rows, "done": done, "all": every, "kind": drone.kind.name}
    return Section("Maintenance", "console/drone/maintenance.html", context)


def _left(one: Standing) -> str:
    text = str(one)
    return text[text.index(one.name) + len(one.name) :].strip()


def defects(drone: Drone, request: HttpRequest) -> Section:
    """Standing defects first, each with its release."""
    found = sorted(drone.defects.all()[:MAX_SHOWN], key=lambda one: bool(one.released_at))
    here = reverse("admin:fleet_drone_change", args=[drone.pk])
    rows: list[dict[str, Any]] = [
        {
            "description": defect.description,
            "grounds": defect.grounds,
            "reported": moment(defect.reported_at),
            "by": said_by(defect.reported_by),
            "released": defect.released_at and moment(defect.released_at),
            "released_by": said_by(defect.released_by),
            "done": defect.done,
            "button": _release(defect, request, here),
        }
        for defect in found
    ]
    every = f"{reverse('admin:fleet_defect_changelist')}?q={drone.pk}"
    return Section("Defects", "console/drone/defects.html", {"rows": rows, "all": every})


def _release(defect: Defect, request: HttpRequest, here: str) -> Button | None:
    button = actions.button(Defect, "release", defect.pk, next=here)
    user: Any = request.user
    return button if defect.released_at is None and user.has_perm(button.permission) else None


def checks(hub: Hub, request: HttpRequest) -> Section | None:
    """Today's pre-flight checks; no section while the hub has none and its area asks for none."""
    area = hub.service_area
    day = day_at(area.time_zone, timezone.now())
    attested = Attestation.objects.filter(hub=hub, day=day).select_related("checklist")
    rows = [{"name": one.name, "by": "", "items": one.items} for one in lacking(hub)]
    rows += [
        {
            "name": one.checklist.name,
            "by": said_by(one.attested_by),
            "at": moment(one.attested_at),
            "items": one.items,
        }
        for one in attested
    ]
    if not rows and not area.preflight_required:
        return None
    context = {"rows": rows, "day": f"{day:%d %b}", "asked": area.preflight_required}
    return Section("Pre-flight checks", "console/hub/checks.html", context)


registry.add_section(Drone, 12, aircraft)
registry.add_section(Drone, 13, maintenance)
registry.add_section(Drone, 14, defects)
registry.add_section(Hub, 20, checks)
