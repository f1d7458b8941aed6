"""A row in each of the console's lists that start empty, and copies of these rows."""

import json

from django.db import connection, transaction
from django.db.models import Model
from django.utils import timezone

from dispatch.models import (
    Clearance,
    Discrepancy,
    FlightRecord,
    Mission,
    MissionPart,
    Occurrence,
    PublishingPause,
)
from dispatch.occurrences import verbs
from dispatch.shift.models import ShiftNote
from fleet.airspace import imports
from fleet.airworthiness.models import (
    Attestation,
    BatteryPack,
    Checklist,
    Defect,
    Maintenance,
    MaintenanceRule,
)
from fleet.models import DroneHold, GeoZone, Pilot, Shift, ZoneImport
from fleet.tests.factories import PilotFactory, ShiftFactory
from orders.models import DeliveryJob, Note, Order, Store
from orders.tests.factories import StoreFactory
from pod.models import Case
from wingxtra.accounts.identity import Actor, ActorKind
from wingxtra.accounts.models import User
from wingxtra.console import actions
from wingxtra.console.models import SavedFilter
from wingxtra.escalation.models import Alert, Rule
from wingxtra.escalation.tests.support import RuleFactory
from wingxtra.tests.bench.seed import Changes, multiply

AMA = Actor(ActorKind.USER, "ama")
LONG_TEXT = (
    "The left front motor was loud after the rain, so the propeller, its bolts and the cable were "
    "changed; a flight of five minutes above the yard was quiet."
)
LONG_NAME = "Nana Akua Owusu-Ansah Boateng-Mensah of the second shift"


def one_of_each(order: Order, user: User) -> dict[str, Model]:
    """By a short name. `order` has flown and ended."""
    now = timezone.now()
    job = order.jobs.select_related("drone__kind", "drone__hub").latest("attempt")
    drone = job.drone
    assert drone is not None
    mission = Mission.objects.filter(parts__job=job).first() or _mission(job)
    rule = MaintenanceRule.objects.create(kind=drone.kind, name="50 h inspection", every_hours=50)
    checklist = Checklist.objects.create(
        name="Before the first flight", hub=drone.hub, items=["Propellers", "Winch", "Battery"]
    )
    escalation = RuleFactory(name="On call, by day and by night")
    said = verbs.Written(
        category=Occurrence.Category.PARCEL,
        injury=False,
        happened_at=job.created_at,
        text=LONG_TEXT,
    )
    found: dict[str, Model] = {
        "pilot": PilotFactory(name=LONG_NAME),
        "pilot-shift": ShiftFactory(),
        "defect": Defect.objects.create(
            drone=drone, description=LONG_TEXT, grounds=False, reported_by=str(AMA)
        ),
        "maintenance-rule": rule,
        "maintenance": Maintenance.objects.create(
            drone=drone,
            rule=rule,
            done_at=now,
            flights=12,
            flight_seconds=7200,
            done=LONG_TEXT,
            recorded_by=str(AMA),
        ),
        "pack": BatteryPack.objects.create(serial="BP-2026-000117", drone=drone, cycles=41),
        "checklist": checklist,
        "attestation": Attestation.objects.create(
            checklist=checklist,
            hub=drone.hub,
            day=now.date(),
            items=checklist.items,
            attested_by=str(AMA),
        ),
        "occurrence": verbs.write(order.pk, job.pk, said, by=AMA),
        "zone-file": imports.check(_zones(), file_name="zones-2026-11.json", source="GCAA", by=AMA),
        "escalation-rule": escalation,
        "alert": Alert.objects.create(
            rule=escalation,
            cause="late",
            text="12 URGENT orders are late: no able drone in Accra",
            severity="GRAVE",
            level=30,
            seen_at=now,
        ),
        "note": ShiftNote.objects.create(written_by=user, text=LONG_TEXT, open_items=[]),
        "saved-filter": SavedFilter.objects.create(
            label="orders.order", name="Late and medical", owner=user, query="promise=late"
        ),
        "hold": DroneHold.objects.create(
            drone=drone,
            code=DroneHold.Code.FLIGHT_FAILED,
            message=LONG_TEXT,
            held_by=str(AMA),
            released_at=now,
            released_by=str(AMA),
            release_note="It was checked.",
        ),
        "discrepancy": Discrepancy.objects.create(
            order=order,
            job=job,
            code=Discrepancy.Code.values[0],
            message=LONG_TEXT,
            settled_at=now,
            settled_by=str(AMA),
            settlement="Looked at it.",
        ),
        "publishing-pause": PublishingPause.objects.create(
            because=LONG_TEXT, refused=3, ended_at=now, ended_by=str(AMA)
        ),
        "case": Case.objects.create(order=order, kind=Case.Kind.values[0], text=LONG_TEXT),
        "mission": mission,
        "clearance": Clearance.objects.create(
            mission=mission,
            state=Clearance.State.WAITING,
            code="wait",
            answer="The authority looks at it; ask again in a minute.",
        ),
        "order-note": Note.objects.create(
            order=order, author="ama", text=LONG_TEXT, created_at=now
        ),
        "zone": GeoZone.objects.create(name="Palace", polygon=_ring()),
        "store": StoreFactory(merchant=order.merchant),
    }
    if record := FlightRecord.objects.filter(job=job).first():
        found["record"] = record
    actions.log(user, order, "Correct the details: nothing of note.")
    return found


def _mission(job: DeliveryJob) -> Mission:
    mission = Mission.objects.create(
        id=job.mission_intent_id, drone_id=job.drone_id, body={"intent_id": "x"}, state="ACCEPTED"
    )
    MissionPart.objects.create(mission=mission, job=job, order_id=job.order_id)
    return mission


def _ring() -> dict[str, object]:
    ring = [[-0.3, 5.7], [-0.29, 5.7], [-0.29, 5.71], [-0.3, 5.71], [-0.3, 5.7]]
    return {"type": "Polygon", "coordinates": [ring]}


def _zones() -> bytes:
    """Two zones, and a feature that is refused."""
    features = [
        {"type": "Feature", "geometry": _ring(), "properties": {"name": name, **more}}
        for name, more in (("Airport", {}), ("Barracks", {}), ("Prison", {"kind": "?"}))
    ]
    return json.dumps({"type": "FeatureCollection", "features": features}).encode()


# SQL by column, for the values that differ between the copies, numbered by n.
NUMBERED = {"name": f"'{LONG_NAME} ' || n"}
COPIES: dict[type[Model], Changes] = {
    DeliveryJob: {"attempt": "attempt + n", "mission_intent_id": "md5('intent' || n)::uuid"},
    Mission: {"id": "md5('intent' || n)::uuid"},
    MissionPart: {
        "job_id": "md5('orders_deliveryjob' || n)::uuid",
        "mission_id": "md5('intent' || n)::uuid",
    },
    Clearance: {"mission_id": "md5('intent' || n)::uuid"},
    FlightRecord: {"job_id": "md5('orders_deliveryjob' || n)::uuid"},
    Pilot: NUMBERED,
    Shift: {
        "starts_at": "starts_at + n * interval '9 hours'",
        "ends_at": "ends_at + n * interval '9 hours'",
    },
    Defect: {},
    MaintenanceRule: {"name": "'Inspection after ' || n || ' h'"},
    Maintenance: {},
    BatteryPack: {"serial": "'BP-2025-' || lpad(n::text, 6, '0')"},
    Checklist: {"name": "'Before the flights of pad ' || n"},
    Attestation: {"day": "day - n"},
    Occurrence: {"happened_at": "happened_at + n * interval '1 minute'"},
    ZoneImport: {},
    Rule: NUMBERED,
    Alert: {"cause": "'late:' || n"},
    ShiftNote: {},
    SavedFilter: {"name": "'My filter number ' || n"},
    DroneHold: {},
    Discrepancy: {},
    PublishingPause: {"began_at": "began_at - n * interval '1 hour'"},
    Note: {},
    GeoZone: NUMBERED,
    Store: NUMBERED,
}


def copy_each(times: int) -> None:
    """This many copies of the first row of each model in COPIES that has one."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SET LOCAL session_replication_role = replica")
        for model, changed in COPIES.items():
            first = model._default_manager.order_by("pk").first()
            if first is not None:
                multiply(model, 1, times, {**_key(model), **changed}, pk=first.pk)


def _key(model: type[Model]) -> dict[str, str]:
    table, key = model._meta.db_table, model._meta.pk
    if key.get_internal_type() == "UUIDField":
        return {key.column: f"md5('{table}' || n)::uuid"}
    if key.get_internal_type() in ("AutoField", "BigAutoField"):
        return {key.column: f"nextval(pg_get_serial_sequence('{table}', '{key.column}'))"}
    return {}
