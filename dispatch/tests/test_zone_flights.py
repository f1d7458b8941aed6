"""Which flights a zone cuts: before it is saved, and on its page with what can be done."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from dispatch.missions import mission_watch, recalls
from dispatch.tests.support import stored
from dispatch.tests.test_mission_watch import HOUR, flying, look, place_at, zone_at
from fleet.models import GeoZone
from fleet.tests.factories import DroneFactory, GeoZoneFactory, square
from orders import lifecycle
from orders.models import Order
from orders.states import EventType, Status
from orders.tests.factories import order_in
from wingxtra.accounts.identity import GCS, SYSTEM, Role
from wingxtra.accounts.tests.factories import UserFactory
from wingxtra.console import actions

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("bridge")]
DRAFT = "/admin/zone-flights/"


@pytest.fixture
def ama() -> Client:
    return signed_in(Role.OPS)


def signed_in(role: Role) -> Client:
    browser = Client()
    browser.force_login(UserFactory(role=role, is_staff=True))
    return browser


def form(polygon: Any, **fields: str) -> dict[str, Any]:
    """The zone's form as the page sends it."""
    heights = {"lower_datum": "AGL", "upper_datum": "AGL"}
    rest = {"kind": "PROHIBITED", "time_zone": "UTC", **heights, **fields}
    return {"active": "on", "polygon": json.dumps(polygon), **rest}


def over(order: Order, share: float) -> dict[str, Any]:
    return square(*place_at(order, share), side_m=200)


def said(browser: Client, sent: dict[str, Any]) -> str:
    answer = browser.post(DRAFT, sent)
    assert answer.status_code == 200
    return " ".join(answer.content.decode().split())


def test_a_zone_ahead_cuts_the_flight_and_one_beside_it_does_not(ama: Client) -> None:
    order = flying(0.5)
    ahead = said(ama, form(over(order, 0.8)))
    assert "It cuts 1 flight: 1 in the air, 0 before launch." in ahead
    assert str(order) in ahead
    assert "abort" not in ahead  # it is not saved yet
    # What is behind the drone is on its way home; a kilometre to the side nothing is.
    assert "It cuts 1 flight" in said(ama, form(over(order, 0.2)))
    lat, lng = place_at(order, 0.8)
    assert "It cuts no flight." in said(ama, form(square(lat - 0.01, lng + 0.01, 200)))


def test_the_draft_is_judged_as_the_saved_zone_is(ama: Client) -> None:
    orders = [flying(0.5)]
    for share in (0.1, 0.45, 0.55, 0.9):
        draft = GeoZone(name="Draft", polygon=over(orders[0], share))
        cut = {one.job.order_id for one in mission_watch.cut_by(draft, timezone.now())}
        draft.save()
        look()
        doubted = {
            order.pk
            for order in orders
            if order.discrepancies.filter(code="AIRSPACE", settled_at__isnull=True).exists()
        }
        assert cut == doubted
        draft.delete()


def test_zones_that_are_off_over_or_much_later_cut_nothing(ama: Client) -> None:
    order = flying(0.5)
    polygon, now = over(order, 0.8), timezone.now()
    off = form(polygon)
    del off["active"]
    assert "The zone is off" in said(ama, off)
    for starts_at, ends_at in ((None, now - HOUR), (now + 24 * HOUR, None)):
        zone = GeoZone(name="x", polygon=polygon, starts_at=starts_at, ends_at=ends_at)
        assert mission_watch.cut_by(zone, now) == []
    later = now + 24 * HOUR
    window = {"starts_at_0": f"{later:%Y-%m-%d}", "starts_at_1": f"{later:%H:%M:%S}"}
    assert "It cuts no flight." in said(ama, form(polygon, **window))


def test_a_mission_before_launch_is_counted_apart_and_can_be_requeued(ama: Client) -> None:
    waits = order_in(Status.MISSION_SUBMITTED, drone=DroneFactory())
    zone = zone_at(waits, 0.5)
    assert "0 in the air, 1 before launch" in said(ama, form(zone.polygon))
    page = ama.get(reverse("admin:fleet_geozone_change", args=[zone.pk])).content.decode()
    assert f"orders.order/requeue/?id={waits.pk}" in page


@pytest.mark.parametrize(
    ("sent", "told"),
    [
        ({}, "required"),
        ({"polygon": "{"}, "Enter a valid JSON"),
        ({"polygon": '{"type": "Point", "coordinates": [1, 2]}'}, "not a GeoJSON Polygon"),
        (
            {"polygon": '{"type": "Polygon", "coordinates": [[[0,0],[1,1],[0,1],[1,0],[0,0]]]}'},
            "itself",
        ),
        ({"polygon": '{"type": "Polygon", "coordinates": [[["a"]]]}'}, "numbers"),
        ({"polygon": "[" * 2000}, "Enter a valid JSON"),
        ({**form(square(5.6, -0.2, 500)), "starts_at_0": "soon"}, "valid date"),
    ],
)
def test_bad_input_is_explained(ama: Client, sent: dict[str, Any], told: str) -> None:
    found = said(ama, sent)
    assert "Not known yet which flights it cuts." in found
    assert told in found


def test_the_question_costs_the_same_statements_for_any_number_of_flights(ama: Client) -> None:
    counts = []
    zone = form(square(5.6037, -0.1870, 3000))
    said(ama, zone)
    for _ in range(2):
        for _ in range(5):
            order_in(Status.ENROUTE, drone=DroneFactory())
        with CaptureQueriesContext(connection) as captured:
            text = said(ama, zone)
        counts.append(len(captured))
    assert "It cuts 10 flights: 10 in the air" in text
    assert counts[0] == counts[1] <= 16


def test_the_saved_zone_lists_its_flights_with_an_abort_for_each_and_for_all(ama: Client) -> None:
    orders = [order_in(Status.ENROUTE, drone=DroneFactory()) for _ in range(3)]
    sent = {"name": "Fire", **form(square(5.6037, -0.1870, 3000))}
    answer = ama.post("/admin/fleet/geozone/add/", sent)
    zone = GeoZone.objects.get()
    address = reverse("admin:fleet_geozone_change", args=[zone.pk])
    assert answer["Location"] == address
    page = ama.get(address).content.decode()
    assert "It cuts 3 flights: 3 in the air, 0 before launch." in page
    assert "Ask for abort of all 3…" in page
    for order in orders:
        assert f"orders.order/abort/?id={order.pk}&amp;next={address}" in page
    ids = {"id": [str(order.pk) for order in orders]}
    url = reverse("admin:act", args=["orders.order", "abort"])
    query = "&".join(f"id={pk}" for pk in ids["id"])
    shown = ama.get(f"{url}?{query}")
    seen = {f"seen-{t.object.pk}": t.token for t in shown.context["targets"]}
    done = ama.post(f"{url}?{query}", {"reason": "A fire under the way.", **seen})
    assert "3 of 3 done." in done.content.decode()
    for order in orders:
        assert stored(order).parts.get().mission.recall_mode == "abort"


def ask_for_abort(browser: Client, order: Order, between: Callable[[], Any]) -> str:
    """Open the form, let something happen, and send it. Returns the page that follows."""
    url = f"{reverse('admin:act', args=['orders.order', 'abort'])}?id={order.pk}"
    (target,) = browser.get(url).context["targets"]
    between()
    sent = {"reason": "A fire under the way.", f"seen-{order.pk}": target.token}
    return browser.post(url, sent, follow=True).content.decode()


def test_a_doubt_or_a_step_of_the_same_flight_does_not_stop_the_abort(ama: Client) -> None:
    order = flying(0.5)

    def the_watch_sees_the_zone() -> None:
        zone_at(order, 0.8)
        look()
        lifecycle.advance(order.pk, Status.ARRIVED, by=GCS)
        assert EventType.CONTRADICTION in order.events.values_list("type", flat=True)

    assert "is asked to abort the flight" in ask_for_abort(ama, order, the_watch_sees_the_zone)


def test_a_colleagues_abort_stops_the_second_one_and_is_shown(ama: Client) -> None:
    order = flying(0.5)

    def a_colleague_asks() -> None:
        ask_for_abort(signed_in(Role.OPS), order, lambda: None)

    page = ask_for_abort(ama, order, a_colleague_asks)
    assert "Changed since you opened this page" in page
    assert "Abort asked for" in page
    assert "contradict" not in page


def test_the_open_form_hears_only_of_what_matters_for_it(ama: Client) -> None:
    order = flying(0.5)
    url = f"{reverse('admin:act', args=['orders.order', 'abort'])}?id={order.pk}"
    changes = ama.get(url).context["changes_url"]
    zone_at(order, 0.8)
    look()
    assert ama.get(changes).json() == {"changes": []}
    recalls.request_abort(order.pk, by=SYSTEM, reason="Storm.")
    (change,) = ama.get(changes).json()["changes"]
    assert "Abort asked for" in change


def test_many_flights_get_several_buttons(ama: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(actions, "MAX_TARGETS", 2)
    for _ in range(3):
        order_in(Status.ENROUTE, drone=DroneFactory())
    zone = GeoZoneFactory(polygon=square(5.6037, -0.1870, 3000))
    page = ama.get(reverse("admin:fleet_geozone_change", args=[zone.pk])).content.decode()
    assert "Ask for abort of 2…" in page
    assert "Ask for abort of 1…" in page


@pytest.mark.parametrize("role", [Role.READONLY, Role.OPS, Role.ADMIN])
def test_only_those_who_may_draw_zones_ask_what_they_cut(role: Role) -> None:
    order = flying(0.5)
    zone = zone_at(order, 0.8)
    browser = signed_in(role)
    may = role != Role.READONLY
    answer = browser.post(DRAFT, form(zone.polygon))
    assert answer.status_code == (200 if may else 403)
    assert browser.get(DRAFT).status_code == 405
    page = browser.get(reverse("admin:fleet_geozone_change", args=[zone.pk])).content.decode()
    assert "It cuts 1 flight" in page
    assert ("Ask for abort" in page) == may


def test_without_a_login_nothing_is_told() -> None:
    assert Client().post(DRAFT, form(square(5.6, -0.2, 500))).status_code != 200
