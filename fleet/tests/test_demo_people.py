"""The demo goes on while one of its shops cannot send."""

from typing import Any

import pytest
from pytest_django.live_server_helper import LiveServer

from fleet.airspace import rulebook
from fleet.demo import city, seed
from fleet.demo.calls import DemoFailed
from fleet.demo.people import People, Unserved
from fleet.models import GeoZone
from fleet.tests.factories import square

pytestmark = pytest.mark.django_db(transaction=True)

PHARMACY, MARKET = city.SHOPS


@pytest.fixture
def people(live_server: LiveServer) -> People:
    return People(live_server.url, seed.seed(12), seed=1)


def zone_over(shop: city.Shop) -> Any:
    zone = GeoZone.objects.create(
        name="Parade", polygon=square(shop.pickup.lat, shop.pickup.lng, 200)
    )
    rulebook.VERSION.bump()
    return zone


@pytest.mark.parametrize("already_open", [False, True], ids=["at the start", "while it runs"])
def test_a_shop_in_a_no_fly_zone_is_skipped_until_the_zone_is_gone(
    people: People, already_open: bool
) -> None:
    if already_open:
        assert [people.place_order().shop for _ in city.SHOPS] == [PHARMACY.name, MARKET.name]
    zone = zone_over(PHARMACY)
    for _ in range(2):
        with pytest.raises(Unserved, match=r"Akoma Pharmacy is skipped: .*no-fly zone “?Parade"):
            people.place_order()
        assert people.place_order().shop == MARKET.name
    zone.delete()
    rulebook.VERSION.bump()
    assert people.place_order().shop == PHARMACY.name


def test_a_refused_key_is_a_fault_of_the_demo(people: People) -> None:
    people.credentials.shop_keys[PHARMACY.name] = "wx_live_unknown"
    with pytest.raises(DemoFailed, match=r"401|unknown"):
        people.place_order()
