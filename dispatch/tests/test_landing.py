"""Where a drone stands is what telemetry shows, and only that."""

from datetime import datetime, timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from dispatch.missions import publishing
from dispatch.missions.following import progress
from dispatch.models import Mission
from dispatch.tests.support import assigned
from fleet import registry
from fleet.live.picture import Picture
from fleet.live.telemetry import Telemetry
from fleet.models import Drone, DroneHold, Hub
from fleet.tests.factories import (
    ACCRA,
    METRE_DEG,
    DroneFactory,
    HubFactory,
    ServiceAreaFactory,
    TelemetryFactory,
)
from orders import lifecycle
from orders.states import Status
from orders.tests.factories import order_in
from wingxtra.accounts.identity import SYSTEM

pytestmark = pytest.mark.django_db

NOW = timezone.now()


def at(hub: Hub, s: float, drone_id: str = "WX-DRN-001", **values: object) -> Telemetry:
    seen_at = NOW + timedelta(seconds=s)
    place = {"lat": hub.lat, "lng": hub.lng, "drone_id": drone_id, "measured_at": seen_at}
    return TelemetryFactory(**{**place, **values})


def look(*samples: Telemetry) -> None:
    now: datetime = max(sample.measured_at for sample in samples)
    shown = {sample.drone_id: sample for sample in samples}
    progress.follow(Picture(fetched_at=now, telemetry=shown), now)


@pytest.fixture
def airport() -> Hub:
    return HubFactory(name="Airport")


@pytest.fixture
def osu(airport: Hub) -> Hub:
    return HubFactory(name="Osu", lat=ACCRA[0] + 3000 * METRE_DEG)


@pytest.fixture
def drone(airport: Hub) -> Drone:
    return DroneFactory(drone_id="WX-DRN-001", hub=airport)


def stored(drone: Drone) -> Drone:
    return Drone.objects.get(pk=drone.pk)


def test_a_drone_that_stands_at_another_hub_belongs_there_after_several_looks(
    drone: Drone, airport: Hub, osu: Hub
) -> None:
    look(at(osu, 0))
    assert stored(drone).hub == airport, "one look proves nothing"
    for s in range(2, 10, 2):
        look(at(osu, s))
    assert stored(drone).hub == airport
    look(at(osu, 10))
    landed = stored(drone)
    assert (landed.hub, landed.base, landed.stands_at) == (osu, airport, osu)
    assert not DroneHold.objects.exists()


@pytest.mark.parametrize(
    "between",
    [{"armed": True}, {"speed_mps": 9.0}, {"lat": ACCRA[0] + 1500 * METRE_DEG}],
)
def test_a_look_that_contradicts_starts_the_count_again(
    drone: Drone, airport: Hub, osu: Hub, between: dict[str, object]
) -> None:
    look(at(osu, 0))
    look(at(osu, 6, **between))
    look(at(osu, 12))
    assert stored(drone).hub == airport
    look(at(osu, 22))
    assert stored(drone).hub == osu


def test_the_same_sample_again_is_no_further_look(drone: Drone, airport: Hub, osu: Hub) -> None:
    frozen = at(osu, 0)
    for s in range(0, 30, 5):
        now = NOW + timedelta(seconds=s)
        progress.follow(Picture(fetched_at=now, telemetry={drone.pk: frozen}), now)
    assert stored(drone).hub == airport


def test_a_look_without_a_value_proves_nothing(drone: Drone, airport: Hub, osu: Hub) -> None:
    for s in (0, 5, 12):
        look(at(osu, s, armed=None))
    assert stored(drone).stands_at is None
    look(at(osu, 20))
    look(at(osu, 25, lat=None))
    look(at(osu, 31))
    assert stored(drone).hub == osu


def test_the_intent_alone_moves_no_drone(drone: Drone, airport: Hub, osu: Hub) -> None:
    _, mission = assigned()
    Mission.objects.filter(pk=mission.pk).update(return_to=osu)
    for s in (0, 6, 12):
        look(at(airport, s))
    assert stored(drone).hub == airport


def test_a_hub_of_another_area_holds_the_drone_once(drone: Drone, airport: Hub) -> None:
    kumasi = HubFactory(name="Kumasi", lat=6.69, service_area=ServiceAreaFactory(name="Ashanti"))
    for s in (0, 6, 12, 14):
        look(at(kumasi, s))
    hold = DroneHold.objects.get()
    assert hold.code == DroneHold.Code.LANDED_AWAY
    assert "It stands at Kumasi, a hub of Ashanti; its base, Airport, is in Accra" in hold.message
    assert stored(drone).hub == airport
    registry.release(drone.pk, by=SYSTEM, note="On its way back.")
    look(at(kumasi, 16))
    assert DroneHold.objects.count() == 1


def test_a_drone_held_in_another_area_costs_no_more_than_one_at_home(
    drone: Drone, airport: Hub
) -> None:
    kumasi = HubFactory(lat=6.69, service_area=ServiceAreaFactory(name="Ashanti"))

    def statements(hub: Hub, s: float) -> int:
        with CaptureQueriesContext(connection) as asked:
            look(at(hub, s))
        return len(asked)

    look(at(airport, 0))
    at_home = statements(airport, 12)
    for s in (20, 26, 32):
        look(at(kumasi, s))
    assert DroneHold.objects.count() == 1
    assert statements(kumasi, 34) == at_home


def test_a_drone_within_reach_of_two_hubs_stays_at_its_own(airport: Hub) -> None:
    beside = HubFactory(name="Beside", lat=ACCRA[0] + 20 * METRE_DEG)
    drone = DroneFactory(drone_id="WX-DRN-001", hub=beside)
    for s in (0, 6, 12):
        look(at(airport, s))
    assert stored(drone).hub == beside


def test_a_mission_comes_until_its_drone_has_landed(drone: Drone, airport: Hub, osu: Hub) -> None:
    order, mission = assigned()
    publishing.publish(mission.pk)
    Mission.objects.filter(pk=mission.pk).update(return_to=osu, tries=1)
    lifecycle.advance(order.pk, Status.DELIVERED, by=SYSTEM)
    look(at(osu, 0, armed=True, alt_m=40.0))
    assert list(Mission.objects.coming(NOW)) == [mission]
    for s in (2, 8, 14):
        look(at(osu, s))
    assert stored(drone).hub == osu
    assert not Mission.objects.coming(NOW)


def test_a_parcel_that_came_back_is_at_the_hub_where_its_drone_stands(
    drone: Drone, airport: Hub, osu: Hub
) -> None:
    order = order_in(Status.DELIVERING, drone=drone)
    assert order.current_job is not None
    order = lifecycle.loaded(order.pk, by=SYSTEM, job_id=order.current_job.pk)
    for s in (0, 6, 12):
        look(at(osu, s))
    order = lifecycle.unloaded(order.pk, stored(drone).hub_id, by=SYSTEM)
    assert order.holder_hub == osu
    assert order.flown_from == (osu.lat, osu.lng)


def test_statements_do_not_grow_with_the_drones(airport: Hub, osu: Hub) -> None:
    drones = [DroneFactory(hub=airport) for _ in range(12)]

    def statements(hub: Hub, s: float, count: int) -> int:
        with CaptureQueriesContext(connection) as asked:
            look(*[at(hub, s, drone.pk) for drone in drones[:count]])
        return len(asked)

    statements(osu, 0, 12)
    assert statements(osu, 11, 2) == statements(osu, 11, 12)
    assert statements(osu, 13, 2) == statements(osu, 13, 12)
    assert Drone.objects.filter(hub=osu).count() == 12
