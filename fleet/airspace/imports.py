"""Geographical zones from a file: checked first, put into use by a second step.

The check keeps what the file holds, so that what is put into use is what staff have seen. A zone
belongs to the source of its file; a later file of the same source replaces its zones.
"""

import hashlib
import uuid
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any

import structlog
from django.db import transaction
from django.utils import timezone

from fleet.airspace import rulebook
from fleet.airspace.files import reading
from fleet.airspace.files.feature import Unusable, Zone
from fleet.airspace.volumes import VALUES, pairs_of
from fleet.airspace.zones import GeoZone, ZoneImport
from wingxtra.accounts.identity import Actor
from wingxtra.problems import Conflict, FieldProblem, Invalid, NotFound

log = structlog.get_logger(__name__)

# A check that was not put into use is forgotten after this.
KEPT = timedelta(days=7)


@dataclass(frozen=True, slots=True)
class Changes:
    """What a file changes in the zones of its source. changed: with the names of the values."""

    new: list[GeoZone]
    changed: list[tuple[GeoZone, list[str]]]
    same: int
    gone: list[GeoZone]

    def __str__(self) -> str:
        return (
            f"{len(self.new)} new, {len(self.changed)} changed, {self.same} as before, "
            f"{len(self.gone)} gone"
        )


def check(content: bytes, *, file_name: str, source: str, by: Actor) -> ZoneImport:
    """Read the file and keep what it holds, without using it. Raises Invalid."""
    source = source.strip()
    if not source or len(source) > 60 or "\0" in source:
        raise Invalid(
            [FieldProblem("source", "required", "Name the source in 1 to 60 characters.")]
        )
    try:
        found = reading.read(content)
    except Unusable as problem:
        raise Invalid([FieldProblem("file", "unusable", str(problem))]) from problem
    ZoneImport.objects.filter(used_at=None, checked_at__lt=timezone.now() - KEPT).delete()
    return ZoneImport.objects.create(
        source=source,
        file_name=file_name[:200],
        sha256=hashlib.sha256(content).hexdigest(),
        format=found.format,
        zones=_with_parts(found.zones),
        refused=[asdict(refusal) for refusal in found.refused],
        airspace_version=rulebook.airspace_version(),
        checked_by=str(by),
    )


def changes_of(one: ZoneImport) -> Changes:
    """What the file would change now. One statement."""
    return compare(map(_row, one.zones), GeoZone.objects.filter(source=one.source))


def compare(wanted: Iterable[GeoZone], present: Iterable[GeoZone]) -> Changes:
    """`changed` has the present rows with the wanted values set. Pure."""
    paired, new, gone = pairs_of(wanted, present)
    changed, same = [], 0
    for zone, row in paired:
        differing = [name for name in VALUES if getattr(row, name) != getattr(zone, name)]
        for name in differing:
            setattr(row, name, getattr(zone, name))
        if differing:
            changed.append((row, differing))
        else:
            same += 1
    return Changes(new, changed, same, gone)


def put_into_use(pk: uuid.UUID, *, by: Actor) -> Changes:
    """Replace the zones of the source by those of a checked file, all or nothing.

    A zone that staff switched off stays off, and one that they allowed stays allowed unless its
    type, heights or hours changed. Raises NotFound, and Conflict if it was done before or if the
    airspace has changed since the check.
    """
    with transaction.atomic():
        one = ZoneImport.objects.select_for_update().filter(pk=pk).first()
        if one is None:
            raise NotFound("zone file")
        if one.used_at is not None:
            raise Conflict(
                "used_before", f"The file was put into use at {one.used_at:%d %b %H:%M} UTC."
            )
        # Locked before they are compared: an authorisation that just ended must not come back.
        present = list(GeoZone.objects.select_for_update().filter(source=one.source))
        if one.airspace_version != rulebook.airspace_version():
            raise Conflict(
                "airspace_changed",
                "The zones have changed since the file was checked. Check the file again, so that "
                "you see what it changes now.",
            )
        found = compare(map(_row, one.zones), present)
        for zone in found.new:
            zone.source = one.source
        for zone, differing in found.changed:
            if set(differing) - {"name", "authority"}:
                zone.allowed_until, zone.allowed_by, zone.allowed_because = None, "", ""
        GeoZone.objects.filter(pk__in=[zone.pk for zone in found.gone]).delete()
        GeoZone.objects.bulk_create(found.new, batch_size=500)
        GeoZone.objects.bulk_update(
            [zone for zone, _ in found.changed],
            [*VALUES, "allowed_until", "allowed_by", "allowed_because"],
            batch_size=200,
        )
        one.used_at, one.used_by, one.result = timezone.now(), str(by), str(found)
        one.save(update_fields=["used_at", "used_by", "result"])
        rulebook.VERSION.bump()
    log.info("zones_imported", source=one.source, sha256=one.sha256, by=str(by), changes=str(found))
    return found


def _with_parts(zones: Iterable[Zone]) -> list[dict[str, Any]]:
    """As JSON, each volume with its number among those of its identifier."""
    seen: defaultdict[str, int] = defaultdict(int)
    rows = []
    for zone in zones:
        rows.append({**asdict(zone), "part": seen[zone.identifier]})
        seen[zone.identifier] += 1
    return rows


def _row(values: Mapping[str, Any]) -> GeoZone:
    moments = {name: _moment(values[name]) for name in ("starts_at", "ends_at")}
    return GeoZone(**{**values, **moments})


def _moment(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)
