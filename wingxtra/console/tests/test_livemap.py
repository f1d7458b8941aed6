"""The live map's data: differences by version, their size and costs, and what it says of itself."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import time_machine
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone
from pytest_django import Settings

from fleet.models import Drone
from fleet.tests.factories import ACCRA, DroneFactory, GeoZoneFactory, TelemetryFactory, show
from orders.console import pages
from orders.states import Status
from orders.tests.factories import OrderFactory, order_in
from wingxtra import redis_client
from wingxtra.accounts.identity import Role
from wingxtra.accounts.tests.factories import MerchantFactory, UserFactory
from wingxtra.console.livemap import snapshot, store
from wingxtra.console.livemap.snapshot import difference, merged, since
from wingxtra.console.registry import Feature, Tone
from wingxtra.tests import on_the_map

NOON = datetime(2026, 5, 4, 12, tzinfo=UTC)
DATA = "/admin/map/data/"
MAX_UPDATE_BYTES = 20_000


# --- versions (pure) -----------------------------------------------------------------------------


def drone(name: str, lng: float = -0.2, **looks: Any) -> tuple[str, Feature]:
    point = {"type": "Point", "coordinates": [lng, 5.6]}
    return "drones", Feature(f"drone-{name}", "drone", point, name, **looks)


def after(*maps: list[tuple[str, Feature]]) -> snapshot.Snapshot:
    found = snapshot.empty("e1", NOON)
    for features in maps:
        found = merged(found, features, [], NOON)
    return found


def news(found: snapshot.Snapshot, known: str) -> dict[str, Any]:
    return difference(found, since(found, known), {"drones"})


def test_a_new_page_gets_everything_and_an_old_one_only_what_changed() -> None:
    found = after([drone("a"), drone("b"), drone("c")])
    assert found.name == "e1.1"
    assert len(news(found, "")["layers"]["drones"]) == 3
    found = merged(found, [drone("a"), drone("b", -0.3), drone("c", tone=Tone.BAD)], [], NOON)
    seen = news(found, "e1.1")
    assert not seen["is_full"]
    assert [row["n"] for row in seen["layers"]["drones"]] == [3]
    assert seen["moves"] == [[2, -30_000, 560_000, None]]
    assert seen["gone"] == []


def test_nothing_new_is_an_empty_answer_of_the_same_version() -> None:
    found = after([drone("a")], [drone("a")], [drone("a", -0.2000001)])
    assert found.name == "e1.1"
    assert news(found, "e1.1") == {"is_full": False, "layers": {}, "moves": [], "gone": []}


def test_a_feature_that_went_is_told_and_comes_back_as_a_new_one() -> None:
    found = after([drone("a"), drone("b")], [drone("b")])
    assert news(found, "e1.1")["gone"] == [1]
    found = merged(found, [drone("a"), drone("b")], [], NOON)
    seen = news(found, "e1.1")
    assert (seen["gone"], [row["n"] for row in seen["layers"]["drones"]]) == ([1], [3])


def test_a_page_skips_any_number_of_versions() -> None:
    found = after(
        [drone("a"), drone("b")], *([drone("a", -0.2 - n / 100), drone("b")] for n in range(1, 9))
    )
    assert found.version == 9
    assert news(found, "e1.1")["moves"] == [[1, -28_000, 560_000, None]]
    assert news(found, "e1.8")["moves"] == [[1, -28_000, 560_000, None]]
    assert news(found, "e1.9")["moves"] == []


@pytest.mark.parametrize("known", ["", "e2.1", "e1.2", "e1.-1", "e1.", "1", "e1.1x", "e1.１", "."])
def test_a_version_that_is_not_known_gets_everything(known: str) -> None:
    assert news(after([drone("a")]), known)["is_full"]


def test_a_version_from_before_the_memory_of_what_went_gets_everything() -> None:
    found = after([drone("a")])
    found.version += snapshot.KEPT_VERSIONS + 1
    assert since(found, "e1.1") is None
    assert since(found, "e1." + "9" * 5000) is None
    assert since(found, "e1.2") == 2


def test_layers_that_a_user_may_not_see_are_left_out() -> None:
    found = after([drone("a")], [])
    assert difference(found, 0, {"hubs"}) == {
        "is_full": False,
        "layers": {},
        "moves": [],
        "gone": [],
    }


# --- the page's data -----------------------------------------------------------------------------


@pytest.fixture
def ama() -> Client:
    return signed_in(Role.OPS)


def signed_in(role: Role) -> Client:
    browser = Client()
    merchant = MerchantFactory() if role == Role.MERCHANT else None
    browser.force_login(UserFactory(role=role, is_staff=True, merchant=merchant))
    return browser


@pytest.fixture
def clock() -> Iterator[Any]:
    """Shift it to let the map's snapshot become old."""
    with time_machine.travel(datetime.now(UTC), tick=False) as moved:
        yield moved


def many(count: int) -> list[Drone]:
    first = DroneFactory()
    rows = [
        Drone(drone_id=f"WX-MANY-{n:03d}", hub=first.hub, base=first.hub, kind=first.kind)
        for n in range(count)
    ]
    return Drone.objects.bulk_create(rows)


def fly(drones: list[Drone], step: int) -> None:
    now = timezone.now()
    show(
        *(
            TelemetryFactory(
                drone_id=one.pk,
                measured_at=now,
                lat=ACCRA[0] + 0.001 * (n // 25) + 0.0002 * step,
                lng=ACCRA[1] + 0.001 * (n % 25),
                heading_deg=float(n % 360),
                battery_pct=90.0 - step,
                alt_m=60.0 + step,
                armed=True,
            )
            for n, one in enumerate(drones)
        ),
        fetched_at=now,
    )


@pytest.mark.django_db
def test_500_moving_drones_are_at_most_20_kb_per_update(ama: Client, clock: Any) -> None:
    drones = many(500)
    for _ in range(30):
        order_in(Status.ENROUTE)
    fly(drones, 0)
    version = ama.get(DATA).json()["version"]
    for step in (1, 2, 3):
        clock.shift(store.TOO_OLD_S)
        fly(drones, step)
        answer = ama.get(DATA, {"since": version})
        news = answer.json()
        assert len(news["moves"]) == 500
        assert len(answer.content) <= MAX_UPDATE_BYTES
        version = news["version"]
    clock.shift(store.TOO_OLD_S)
    answer = ama.get(DATA, {"since": version})
    assert answer.json()["moves"] == []
    assert len(answer.content) < 400


@pytest.mark.django_db
def test_the_map_costs_the_same_statements_for_any_number_of_drones_and_pages(
    ama: Client, clock: Any
) -> None:
    def statements() -> int:
        with CaptureQueriesContext(connection) as captured:
            version = ama.get(DATA, {"since": versions[-1]}).json()["version"]
        versions.append(version)
        return len(captured)

    versions = [""]
    few = many(3)
    fly(few, 0)
    statements()
    clock.shift(store.TOO_OLD_S)
    fly(few, 1)
    renewed = statements()
    another_page = statements()
    assert another_page <= 3  # session, user and permissions
    for n in range(40):
        few.append(DroneFactory(drone_id=f"WX-MORE-{n:03d}"))
        order_in(Status.ENROUTE)
    clock.shift(store.TOO_OLD_S)
    fly(few, 2)
    assert statements() == renewed <= 12
    versions.append("")
    clock.shift(store.TOO_OLD_S)
    assert statements() <= 12  # everything, with what stands still


@pytest.mark.django_db
def test_a_layer_says_that_it_shows_only_the_most_urgent_orders(
    ama: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pages, "MAX_ON_MAP", 2)
    now = timezone.now()
    OrderFactory(deliver_by=now + timedelta(minutes=5))
    late = OrderFactory(deliver_by=now - timedelta(minutes=5))
    assert ama.get(DATA).json()["left_out"] == []
    medical = OrderFactory(priority="MEDICAL", deliver_by=now + timedelta(hours=1))
    redis_client.ask(lambda client: client.delete(store.KEY))
    answer = ama.get(DATA).json()
    assert answer["left_out"] == ["Queued: 2 of 3 orders are shown, the most urgent."]
    shown = [
        row["is"]["label"] for row in answer["layers"]["queued"] if row["is"]["look"] == "drop"
    ]
    assert shown == [f"Drop point of {medical}", f"Drop point of {late}"]
    assert ama.get(DATA, {"layers": "drones"}).json()["left_out"] == []


@pytest.mark.django_db
def test_an_old_picture_is_told_with_its_age(ama: Client) -> None:
    now = timezone.now()
    show(TelemetryFactory(drone_id=DroneFactory().pk), fetched_at=now - timedelta(seconds=95))
    (source,) = ama.get(DATA).json()["sources"]
    assert source["name"] == "The fleet picture"
    assert source["is_stale"]
    assert 95 <= source["age_s"] < 100


@pytest.mark.django_db
def test_without_any_picture_the_source_is_stale_and_has_no_age(ama: Client) -> None:
    assert ama.get(DATA).json()["sources"] == [
        {"name": "The fleet picture", "age_s": None, "is_stale": True}
    ]


@pytest.mark.django_db
def test_without_redis_the_map_says_so(ama: Client, settings: Settings) -> None:
    drone_id = DroneFactory().pk
    settings.REDIS_URL = "redis://127.0.0.1:1/0"
    for url in (
        DATA,
        f"/admin/map/feature/?layer=drones&id=drone-{drone_id}",
    ):
        problem = ama.get(url).json()["problem"]
        assert problem["code"] == "redis_away"
        assert "no position is known" in problem["detail"]


@pytest.mark.django_db
def test_new_zones_and_orders_appear_and_go_without_a_reload(ama: Client, clock: Any) -> None:
    version = ama.get(DATA).json()["version"]
    zone, order = GeoZoneFactory(), OrderFactory()
    clock.shift(store.TOO_OLD_S)
    news = ama.get(DATA, {"since": version}).json()
    shown = {row["is"]["id"]: row["n"] for rows in news["layers"].values() for row in rows}
    assert {f"zone-{zone.pk}", f"to-{order}", f"from-{order}", f"line-{order}"} <= set(shown)
    n = shown[f"zone-{zone.pk}"]
    zone.delete()
    clock.shift(store.TOO_OLD_S)
    assert ama.get(DATA, {"since": news["version"]}).json()["gone"] == [n]


@pytest.mark.django_db
def test_some_layers_only(ama: Client) -> None:
    GeoZoneFactory()
    layers = ama.get(DATA, {"layers": "zones,hubs,unknown"}).json()["layers"]
    assert {name: len(rows) for name, rows in layers.items()} == {"zones": 1, "hubs": 0}


# --- two processes -------------------------------------------------------------------------------


def test_two_processes_never_store_two_maps_with_one_version() -> None:
    first = after([drone("a")])
    assert store.write(first, replaces=None)
    mine = merged(first, [drone("a", -0.3)], [], NOON + timedelta(seconds=1))
    theirs = merged(first, [drone("a"), drone("b")], [], NOON + timedelta(seconds=2))
    assert mine.name == theirs.name
    assert store.write(theirs, replaces=first)
    assert not store.write(mine, replaces=first)
    # The control: without the comparison the later one would overwrite it.
    redis_client.client().delete(store.KEY)
    assert store.write(mine, replaces=None)


# --- one feature ---------------------------------------------------------------------------------


@pytest.mark.django_db
def test_the_facts_of_a_feature_are_those_of_now(ama: Client) -> None:
    flown = DroneFactory()
    show(TelemetryFactory(drone_id=flown.pk, battery_pct=63))
    order = order_in(Status.ENROUTE, drone=flown)
    layers = on_the_map.layers(ama)
    for layer, rows in layers.items():
        for row in rows:
            if layer == "trails":
                continue
            url = reverse("admin:map-feature")
            assert ama.get(url, {"layer": layer, "id": row["id"]}).json()["facts"], row["id"]
    facts = ama.get(reverse("admin:map-feature"), {"layer": "drones", "id": f"drone-{flown}"})
    assert ["Battery", "63 %"] in facts.json()["facts"]
    assert (
        "Mensah"
        not in ama.get(
            reverse("admin:map-feature"), {"layer": "flying", "id": f"to-{order}"}
        ).content.decode()
    )


@pytest.mark.django_db
@pytest.mark.parametrize(
    "query",
    [
        {},
        {"layer": "drones"},
        {"layer": "nothing", "id": "drone-X"},
        {"layer": "drones", "id": "drone-X"},
        {"layer": "hubs", "id": "hub-x"},
        {"layer": "hubs", "id": "hub-99999999999999999999"},
        {"layer": "areas", "id": "area-x"},
        {"layer": "zones", "id": "zone-x"},
        {"layer": "queued", "id": "to-"},
        {"layer": "queued", "id": "x"},
        {"layer": "trails", "id": "trail-x"},
    ],
)
def test_a_feature_that_does_not_exist(ama: Client, query: dict[str, str]) -> None:
    assert ama.get(reverse("admin:map-feature"), query).status_code == 404


@pytest.mark.django_db
@pytest.mark.parametrize("role", [*Role])
def test_the_map_is_for_staff(role: Role) -> None:
    show(TelemetryFactory(drone_id=DroneFactory().pk))
    order = OrderFactory()
    browser = signed_in(role)
    for url in (
        DATA,
        reverse("admin:map-feature") + f"?layer=queued&id=to-{order}",
    ):
        is_staff = role in (Role.READONLY, Role.OPS, Role.ADMIN)
        assert browser.get(url).status_code == (200 if is_staff else 302)
        assert browser.post(url).status_code in ((405,) if is_staff else (302, 403))
