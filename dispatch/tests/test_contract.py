"""Both versions of the contract: built intents are valid, and the types match the published JSON
Schemas.
"""

import json
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import jsonschema
import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from pytest_django import Settings
from rest_framework.test import APIClient

from dispatch.missions import intent, publishing
from dispatch.models import Mission
from dispatch.tests.support import able_drone, assigned
from fleet import policy
from fleet.airspace import rulebook
from fleet.models import Drone, GeoZone, Hub
from fleet.simulator.intents import check_intent, strange_members
from fleet.simulator.run import Simulator
from fleet.tests.factories import (
    ACCRA,
    METRE_DEG,
    DroneFactory,
    GeoZoneFactory,
    HubFactory,
    ServiceAreaFactory,
)
from orders import lifecycle
from orders.models import Order
from orders.states import Holder, Status
from orders.tests.factories import OrderFactory, order_in
from wingxtra.accounts.identity import DISPATCHER, Role
from wingxtra.accounts.tests.factories import UserFactory, api_client
from wingxtra.api.contracts import committed

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("bridge")]

WRONG = [None, True, "", "x", -1, 0, 1, 2, 91, 181, 1001, 2.5, [], {}, ["RTL"], "2026-03-01"]
GONE = object()
SEED = {  # the members that the first ground control reads
    "intent_id": None,
    "order_id": None,
    "drone_id": None,
    "pickup": {"lat", "lng", "alt_m"},
    "dropoff": {"lat", "lng", "alt_m", "delivery_alt_m"},
    "actions": None,
    "constraints": {"battery_min_pct", "service_area_id", "max_wind_mps"},
    "safety": {"abort_rtl_on_fail", "loiter_timeout_s", "lost_link_behavior"},
    "metadata": {"payload_type", "payload_weight_kg", "priority", "created_at"},
}


@pytest.fixture(params=[1, 2])
def version(request: pytest.FixtureRequest, settings: Settings) -> int:
    settings.GCS_INTENT_VERSION = request.param
    return int(request.param)


@pytest.fixture
def _second(settings: Settings) -> None:
    settings.GCS_INTENT_VERSION = 2


# Intents that were stored before these members existed have none of them.
OPTIONAL = {("operator_id",), ("aircraft",)}


def built(order: Order, drone: Drone) -> dict[str, Any]:
    """An intent of version 2."""
    around = intent.Surroundings(Hub.objects.all(), rulebook.airspace_version())
    return intent.build(uuid4(), order, drone, policy.current(), datetime.now(UTC), around)


def places(body: dict[str, Any]) -> list[tuple[str, ...]]:
    inner = [(key, k) for key, value in body.items() if isinstance(value, dict) for k in value]
    return [(key,) for key in body] + inner


def changed(body: dict[str, Any], place: tuple[str, ...], value: Any) -> dict[str, Any]:
    """A copy with one value changed or removed."""
    copy: dict[str, Any] = json.loads(json.dumps(body))
    target = copy if len(place) == 1 else copy[place[0]]
    target[place[-1]] = value
    if value is GONE:
        del target[place[-1]]
    return copy


# --- what is sent --------------------------------------------------------------------------------


def test_by_default_an_intent_has_the_members_that_every_ground_control_knows() -> None:
    body = assigned()[1].body
    assert {k: set(v) if isinstance(v, dict) else None for k, v in body.items()} == SEED
    assert body["actions"] == ["TAKEOFF", "CRUISE", "DESCEND", "DROP_OR_WINCH", "ASCEND", "RTL"]
    assert strange_members(body) == []
    assert check_intent(body) == body


@pytest.mark.usefixtures("_second")
def test_version_2_has_datum_loading_hubs_airspace_and_identification() -> None:
    able_drone()
    near = HubFactory(lat=ACCRA[0] + 2000 * METRE_DEG)
    HubFactory(lat=ACCRA[0] + 6000 * METRE_DEG)
    HubFactory(lat=ACCRA[0], service_area=ServiceAreaFactory())
    order, mission = assigned()
    home = mission.drone.hub
    assert {name: mission.body[name] for name in mission.body if name not in SEED} == {
        "schema_version": 2,
        "alt_datum": "AGL",
        "return_to": {"hub_id": str(home.pk), "lat": home.lat, "lng": home.lng},
        "alternate": {"hub_id": str(near.pk), "lat": near.lat, "lng": near.lng},
        "airspace_version": rulebook.airspace_version(),
        "operator_id": None,
        "aircraft": {"registration": None, "serial": None},
    }
    assert mission.body["actions"] == [
        *("TAKEOFF", "CRUISE", "DESCEND", "LOAD"),
        *("ASCEND", "CRUISE", "DESCEND", "DROP_OR_WINCH", "ASCEND", "RTL"),
    ]
    assert mission.body["pickup"]["lat"] == order.pickup_lat
    assert check_intent(mission.body) == mission.body


@pytest.mark.usefixtures("_second")
def test_a_drone_that_stands_elsewhere_is_sent_to_its_base() -> None:
    base, osu = HubFactory(), HubFactory(lat=ACCRA[0] + 900 * METRE_DEG)
    DroneFactory(drone_id="WX-DRN-001", hub=osu, base=base)
    _, mission = assigned()
    assert (mission.return_to, mission.alternate) == (base, osu)
    assert mission.body["return_to"]["hub_id"] == str(base.pk)


@pytest.mark.usefixtures("_second")
def test_the_intent_names_the_hub_that_dispatch_chose_before_it_was_sent() -> None:
    _, mission = assigned()
    osu, tema = HubFactory(lat=5.62), HubFactory(lat=5.63)
    Mission.objects.filter(pk=mission.pk).update(return_to=osu, alternate=tema)
    publishing.publish(mission.pk)
    mission.refresh_from_db()
    assert mission.state == Mission.State.ACCEPTED
    assert mission.body["return_to"] == {"hub_id": str(osu.pk), "lat": osu.lat, "lng": osu.lng}
    assert mission.body["alternate"]["hub_id"] == str(tema.pk)
    assert check_intent(mission.body) == mission.body


def test_version_1_names_no_hub_and_the_drone_returns_to_where_it_took_off() -> None:
    DroneFactory(drone_id="WX-DRN-001", base=HubFactory(), hub=(osu := HubFactory()))
    _, mission = assigned()
    publishing.publish(mission.pk)
    mission.refresh_from_db()
    assert (mission.return_to, mission.alternate) == (osu, None)
    assert "return_to" not in mission.body


@pytest.mark.usefixtures("_second")
def test_a_parcel_aboard_is_not_loaded_and_a_single_hub_has_no_alternate() -> None:
    order = order_in(Status.ENROUTE, drone=able_drone())
    assert order.current_job is not None
    order = lifecycle.loaded(order.pk, by=DISPATCHER, job_id=order.current_job_id)
    assert order.holder == Holder.DRONE
    body = built(order, Drone.objects.get())
    assert body["actions"] == intent.ACTIONS
    assert body["alternate"] is None
    assert check_intent(body) == body


def test_the_airspace_version_changes_only_with_the_map() -> None:
    ServiceAreaFactory()
    zone = GeoZoneFactory()
    DroneFactory()
    first = rulebook.airspace_version()
    DroneFactory()
    policy.change(by=DISPATCHER, cruise_alt_m=70)
    assert rulebook.airspace_version() == first
    zone.ends_at = datetime(2030, 1, 1, tzinfo=UTC)
    zone.save()
    second = rulebook.airspace_version()
    area = ServiceAreaFactory()
    third = rulebook.airspace_version()
    area.active = False
    area.save()
    assert rulebook.airspace_version() == second
    GeoZone.objects.all().delete()
    assert len({first, second, third, rulebook.airspace_version()}) == 4


@pytest.mark.usefixtures("version")
def test_statements_do_not_grow_with_the_intents() -> None:
    def statements(count: int) -> int:
        orders = OrderFactory.create_batch(count)
        hub = Hub.objects.first() or HubFactory()
        lie_there = Order.objects.filter(pk__in=[order.pk for order in orders[1:]])
        lie_there.update(holder=Holder.HUB, holder_hub=hub)
        pairs = [lifecycle.Assignment(order.pk, DroneFactory().pk, "") for order in orders]
        with CaptureQueriesContext(connection) as asked:
            assert len(lifecycle.assign_many(pairs, by=DISPATCHER)) == count
        return len(asked)

    assert statements(2) == statements(6)


# --- operator and aircraft -----------------------------------------------------------------------


@pytest.fixture
def ops() -> APIClient:
    return api_client(UserFactory(role=Role.OPS))


@pytest.mark.usefixtures("_second")
def test_the_intent_says_who_flies_with_which_aircraft(
    settings: Settings, ops: APIClient, bridge: Simulator
) -> None:
    settings.OPERATOR_ID = "GBR-OP-123"
    DroneFactory(drone_id="WX-DRN-001", serial="SIM-7", registration="G-ABCD")
    _, mission = assigned()
    assert mission.body["operator_id"] == "GBR-OP-123"
    assert mission.body["aircraft"] == {"registration": "G-ABCD", "serial": "SIM-7"}
    publishing.publish(mission.pk)
    (flown,) = bridge.world.missions.values()
    assert flown.intent["aircraft"]["serial"] == "SIM-7"
    assert ops.get(f"/api/v1/mission-intents/{mission.pk}").json()["not_known"] == []


@pytest.mark.parametrize(
    ("version", "told"),
    [
        (1, "version 1 cannot name them, GCS_INTENT_VERSION=2 does."),
        (2, "Operator id: set OPERATOR_ID. Registration of the drone: enter it on the drone"),
    ],
)
def test_what_the_intent_cannot_say_is_told(
    settings: Settings, ops: APIClient, client: Client, version: int, told: str
) -> None:
    settings.GCS_INTENT_VERSION, settings.OPERATOR_ID = version, ""
    _, mission = assigned()
    answer = ops.get(f"/api/v1/mission-intents/{mission.pk}").json()
    assert answer["not_known"] == ["operator_id", "aircraft.registration", "aircraft.serial"]
    client.force_login(UserFactory(role=Role.READONLY, is_staff=True))
    page = client.get(f"/admin/dispatch/mission/{mission.pk}/change/").content.decode()
    assert "Missing in the intent" in page
    assert told in page


@pytest.mark.usefixtures("_second")
def test_an_intent_that_was_stored_before_these_members_is_still_valid() -> None:
    body = assigned()[1].body
    del body["operator_id"], body["aircraft"]
    intent.check(body)
    assert check_intent(body) == body


# --- the types and the schemas -------------------------------------------------------------------


def test_the_schema_accepts_all_that_the_types_accept(version: int) -> None:
    body = assigned()[1].body
    assert intent.version_of(body) == version
    assert intent.fits(body), "else every intent of a run would be checked the slow way"
    accepted = 0
    for place in places(body):
        for value in WRONG:
            other = changed(body, place, value)
            if intent.fits(other):
                accepted += 1
                schema = intent.validator(intent.version_of(other))
                assert list(schema.iter_errors(other)) == [], (place, value)
    assert accepted > 20


def test_missing_and_additional_members_are_refused_by_both(version: int) -> None:
    body = assigned()[1].body
    inner = [key for key, value in body.items() if isinstance(value, dict)]
    extra = [("more",), *((key, "more") for key in inner)]
    if version == 1:
        extra += [("schema_version",), ("constraints", "geofence_id")]
    required = [place for place in places(body) if place not in OPTIONAL]
    for other in [changed(body, place, GONE) for place in required] + [
        changed(body, place, 1) for place in extra
    ]:
        assert not intent.fits(other)
        with pytest.raises(intent.InvalidIntent):
            intent.check(other)


@pytest.mark.parametrize("number", [1, 2])
def test_the_schemas_are_valid_and_their_examples_match(number: int) -> None:
    schema = committed(intent.SCHEMAS[number])
    jsonschema.Draft202012Validator.check_schema(schema)
    for example in schema["examples"]:
        intent.check(example)
        assert intent.version_of(example) == number
        assert check_intent(example) == example
