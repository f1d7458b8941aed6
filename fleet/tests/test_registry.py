"""The columns of registered drones for feasibility, the rulebook, and grounding."""

from datetime import timedelta
from typing import Any

import numpy as np
import pytest
from django.utils import timezone

from fleet import policy, registry
from fleet.airspace import rulebook
from fleet.feasibility import judge
from fleet.feasibility.reasons import Rule
from fleet.feasibility.rules import PayloadType
from fleet.feasibility.tables import DroneTable, TripTable, payload_bits
from fleet.live.picture import Picture
from fleet.models import Drone
from fleet.registry import Engaged
from fleet.tests.factories import (
    ACCRA,
    DroneFactory,
    DroneKindFactory,
    GeoZoneFactory,
    HubFactory,
    ServiceAreaFactory,
    TelemetryFactory,
    seconds_ago,
    show,
)
from wingxtra.accounts.identity import SYSTEM, Actor, ActorKind
from wingxtra.problems import Conflict, Invalid, NotFound

pytestmark = pytest.mark.django_db

AMA = Actor(ActorKind.USER, "ama")


def table(latest: Picture | None = None, busy: Any = ()) -> DroneTable:
    """The table of all drones, ordered by id."""
    now = timezone.now()
    drones = Drone.objects.with_home()
    return registry.drone_table(drones, latest, Engaged(busy=busy), rulebook.load(now), now)


# --- columns for feasibility ---------------------------------------------------------------------


def test_a_row_combines_registry_and_telemetry():
    kind = DroneKindFactory(payload_types=[PayloadType.BLOOD], max_payload_kg=1.5)
    hub = HubFactory(lat=5.6, lng=-0.2)
    DroneFactory(drone_id="WX-1", kind=kind, hub=hub)
    latest = show(TelemetryFactory(drone_id="WX-1", lat=5.61, lng=-0.19, battery_pct=80))

    row = table(latest)

    assert row.drone_id.tolist() == ["WX-1"]
    assert (row.lat[0], row.lng[0], row.battery_pct[0], row.armed[0]) == (5.61, -0.19, 80, 0)
    assert (row.home_lat[0], row.home_lng[0], row.area[0]) == (5.6, -0.2, 0)
    assert (row.registered[0], row.active[0], row.grounded[0], row.busy[0]) == (1, 1, 0, 0)
    assert row.payload_types[0] == payload_bits(["BLOOD"])
    assert (row.max_payload_kg[0], row.battery_wh[0]) == (1.5, kind.battery_wh)
    assert 0 <= row.telemetry_age_s[0] < 60


def test_rows_are_in_the_order_of_the_drones():
    drones = [DroneFactory(drone_id=f"WX-{n}") for n in (3, 1, 2)]
    now = timezone.now()

    found = registry.drone_table(drones, None, Engaged(busy={"WX-1"}), rulebook.load(now), now)

    assert found.drone_id.tolist() == ["WX-3", "WX-1", "WX-2"]
    assert found.busy.tolist() == [False, True, False]


def test_a_drone_without_telemetry_has_nan_values():
    DroneFactory()

    for row in (table(None), table(show(TelemetryFactory(drone_id="WX-OTHER")))):
        assert np.isnan([row.lat[0], row.lng[0], row.battery_pct[0], row.armed[0]]).all()
        assert row.telemetry_age_s[0] == np.inf


def test_missing_telemetry_values_are_nan():
    DroneFactory(drone_id="WX-1")

    row = table(show(TelemetryFactory(drone_id="WX-1", armed=None, battery_pct=None)))

    assert np.isnan([row.armed[0], row.battery_pct[0]]).all()
    assert row.placed[0]


def test_a_drone_in_an_inactive_area_has_no_area():
    closed = ServiceAreaFactory(active=False)
    DroneFactory(drone_id="WX-1", hub=HubFactory(service_area=closed))
    DroneFactory(drone_id="WX-2", hub=HubFactory(service_area=ServiceAreaFactory()))

    assert table().area.tolist() == [registry.NO_AREA, 0]


def test_a_table_of_no_drones_is_empty():
    assert len(table()) == 0


@pytest.mark.parametrize(
    ("age_s", "reason"),
    [(1, Rule(0)), (30, Rule.TELEMETRY_AGING), (90, Rule.TELEMETRY_OLD)],
)
def test_a_stale_picture_excludes_every_drone(age_s, reason):
    DroneFactory(drone_id="WX-1")
    at = seconds_ago(age_s)
    latest = show(TelemetryFactory(drone_id="WX-1", measured_at=at), fetched_at=at)
    book = rulebook.load(timezone.now())
    trip = TripTable.from_rows(
        [
            {
                "pickup_lat": ACCRA[0],
                "pickup_lng": ACCRA[1],
                "dropoff_lat": ACCRA[0] + 0.01,
                "dropoff_lng": ACCRA[1],
                "payload_weight_kg": 1.0,
                "payload_type": payload_bits(["PARCEL"]),
                "area": 0,
            }
        ]
    )

    verdicts = judge.judge(
        table(latest),
        trip,
        *judge.every_pair(1, 1),
        book.rules,
        book.zone_shapes,
        timezone.now(),
    )

    assert Rule(int(verdicts.reasons[0])) == reason


# --- the rulebook --------------------------------------------------------------------------------


def test_loading_the_rulebook_takes_one_statement_and_another_for_new_orders(
    django_assert_num_queries,
):
    hubs = [HubFactory(service_area=ServiceAreaFactory()) for _ in range(3)]
    kinds = [DroneKindFactory(max_payload_kg=kg) for kg in (1, 2)]
    for n in range(12):
        DroneFactory(hub=hubs[n % 3], kind=kinds[n % 2])
    GeoZoneFactory.create_batch(3)

    now = timezone.now()
    with django_assert_num_queries(1):
        plain = rulebook.load(now)
    with django_assert_num_queries(2):
        book = rulebook.load_for_orders(now)

    assert (plain.areas, plain.hubs, plain.kinds) == (book.areas, hubs, kinds)
    assert (len(book.areas), len(book.zones), len(book.best_drones)) == (3, 3, 6)
    assert (len(book.area_shapes), len(book.zone_shapes)) == (3, 3)
    assert book.rules == policy.current()


def test_inactive_areas_and_expired_zones_are_excluded():
    now = timezone.now()
    ServiceAreaFactory(active=False)
    GeoZoneFactory(active=False)
    GeoZoneFactory(ends_at=now - timedelta(minutes=1))
    coming = GeoZoneFactory(starts_at=now + timedelta(hours=1))

    book = rulebook.load(now)

    assert book.areas == []
    assert book.zones == [coming]


def test_the_best_drones_are_in_service_charged_and_at_home():
    DroneFactory(active=False, kind=DroneKindFactory())
    hub = HubFactory(lat=5.6, lng=-0.2)
    for drone in DroneFactory.create_batch(2, hub=hub):
        registry.ground(drone.drone_id, by=SYSTEM, reason="Rotor 3.")

    best = rulebook.load_for_orders(timezone.now()).best_drones

    assert len(best) == 1
    assert (best.lat[0], best.lng[0], best.battery_pct[0]) == (5.6, -0.2, 100)
    assert not best.grounded[0]


def test_without_drones_the_rulebook_still_loads():
    assert len(rulebook.load_for_orders(timezone.now()).best_drones) == 0


# --- grounding -----------------------------------------------------------------------------------


def test_grounding_records_author_and_reason_and_stops_dispatch():
    drone = DroneFactory(drone_id="WX-1")

    registry.ground("WX-1", by=AMA, reason="  Rotor 3 is chipped. ")

    drone = Drone.objects.get(pk="WX-1")
    assert drone.is_grounded
    assert (drone.grounded_by, drone.grounded_reason) == ("user:ama", "Rotor 3 is chipped.")
    assert table().grounded.tolist() == [True]


def test_an_ungrounded_drone_may_fly_again():
    DroneFactory(drone_id="WX-1")
    registry.ground("WX-1", by=AMA, reason="Rotor 3.")

    registry.unground("WX-1", by=AMA)

    assert not Drone.objects.get(pk="WX-1").is_grounded
    assert table().grounded.tolist() == [False]


@pytest.mark.parametrize(("reason", "code"), [("  ", "required"), ("x" * 301, "too_long")])
def test_grounding_needs_a_short_reason(reason, code):
    DroneFactory(drone_id="WX-1")

    with pytest.raises(Invalid) as caught:
        registry.ground("WX-1", by=AMA, reason=reason)

    assert [error.code for error in caught.value.errors] == [code]
    assert not Drone.objects.get(pk="WX-1").is_grounded


def test_grounding_twice_is_a_conflict():
    DroneFactory(drone_id="WX-1")
    registry.ground("WX-1", by=AMA, reason="Rotor 3.")

    with pytest.raises(Conflict, match=r"by ama since .*: Rotor 3\.") as caught:
        registry.ground("WX-1", by=SYSTEM, reason="Battery.")

    assert caught.value.code == "already_grounded"
    assert Drone.objects.get(pk="WX-1").grounded_reason == "Rotor 3."


def test_ungrounding_a_drone_that_is_not_grounded_is_a_conflict():
    DroneFactory(drone_id="WX-1")

    with pytest.raises(Conflict, match="WX-1 is not grounded"):
        registry.unground("WX-1", by=AMA)


def test_grounding_an_unknown_drone_is_not_found():
    with pytest.raises(NotFound):
        registry.ground("WX-1", by=AMA, reason="Rotor 3.")
    with pytest.raises(NotFound):
        registry.unground("WX-1", by=AMA)
