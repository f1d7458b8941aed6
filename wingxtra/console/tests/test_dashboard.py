"""The dashboard: attention items and their acknowledgement, numbers, and the live map."""

from collections.abc import Iterator
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.test import Client
from django.urls import reverse
from redis import RedisError

from dispatch import actors
from dispatch.missions.following import progress
from fleet.tests.factories import DroneFactory, TelemetryFactory, seconds_ago, show
from orders.states import PodRequirement, Status
from orders.tests.factories import OrderFactory, order_in
from wingxtra.accounts.identity import Role
from wingxtra.accounts.tests.factories import UserFactory
from wingxtra.console import registry
from wingxtra.console.look import Look
from wingxtra.console.registry import Attention, NotChecked
from wingxtra.tests import on_the_map

pytestmark = pytest.mark.django_db


def browser_of(role: Role, **about: str) -> Client:
    browser = Client()
    browser.force_login(UserFactory(role=role, **about))
    return browser


@pytest.fixture
def ama() -> Client:
    return browser_of(Role.OPS, username="ama")


@pytest.fixture
def leak() -> Iterator[list[Attention]]:
    """An attention item of the test. Replace the list's only element to make it worse."""
    items = [Attention(key="leak", level=3, text="The roof of the Ridge hub leaks")]

    def source(look: Look) -> list[Attention]:
        return items

    registry.add_attention(source, checks="no roof leaks")
    yield items
    registry.attention_sources[:] = [s for s in registry.attention_sources if s.find != source]


def page(browser: Client) -> str:
    return browser.get(reverse("admin:now")).content.decode()


def open_part(browser: Client) -> str:
    """The page without the acknowledged items."""
    return page(browser).partition('<details id="seen"')[0]


def acknowledge(browser: Client, **data: object) -> Any:
    return browser.post(reverse("admin:acknowledge"), data)


def test_a_late_order_is_on_top_with_a_way_to_it(ama: Client) -> None:
    order = OrderFactory(deliver_by=seconds_ago(700))
    assert f"order {order} is late by 12 min" in page(ama)
    assert reverse("admin:orders_order_change", args=[order.pk]) in page(ama)


def test_a_delivery_without_its_proof_is_listed_with_its_remedy(ama: Client) -> None:
    order = order_in(Status.DELIVERED, pod_requirement=PodRequirement.OPERATOR_CONFIRM)
    assert f"Order {order} was delivered without its proof" in page(ama)
    assert "orders.order/confirm/" in page(ama)


def test_a_drone_that_the_registry_does_not_know_can_be_registered(ama: Client) -> None:
    show(TelemetryFactory(drone_id="WX-NEW-1"), TelemetryFactory(drone_id=DroneFactory().pk))
    assert "WX-NEW-1 sends telemetry and is not registered" in page(ama)
    assert "?drone_id=WX-NEW-1" in page(ama)
    form = ama.get(reverse("admin:fleet_drone_add") + "?drone_id=WX-NEW-1").content.decode()
    assert 'value="WX-NEW-1"' in form


def test_a_dead_worker_and_a_missing_bridge_are_shown(ama: Client) -> None:
    assert "The worker is silent" in page(ama)
    assert "No ground control bridge is configured" in page(ama)


def test_a_low_battery_in_flight_is_shown(ama: Client) -> None:
    drone = DroneFactory()
    order_in(Status.ENROUTE, drone=drone)
    show(TelemetryFactory(drone_id=drone.pk, armed=True, battery_pct=12))
    for area_id in progress.areas():
        actors.follow_area.fn(str(area_id))
        actors.watch_area.fn(str(area_id))
    assert "The battery is not enough for the rest" in page(ama)
    assert f"{drone} needs " in page(ama)
    assert "% reserve, and has 12 %." in page(ama)


def test_an_acknowledged_item_moves_below_the_others_with_name_and_note(
    ama: Client, leak: list[Attention]
) -> None:
    assert "The roof" in open_part(ama)
    acknowledge(ama, key="leak", note="The roofer is on his way.")
    assert "The roof" not in open_part(ama)
    assert "ama" in page(ama)
    assert "The roofer is on his way." in page(ama)
    said = LogEntry.objects.get().change_message
    assert said == "Acknowledged: The roof of the Ridge hub leaks. The roofer is on his way."


def test_an_acknowledged_item_is_open_again_when_it_gets_worse(
    ama: Client, leak: list[Attention]
) -> None:
    acknowledge(ama, key="leak", note="On it.")
    leak[0] = Attention(key="leak", level=4, text="The Ridge hub is under water")
    assert "The Ridge hub is under water" in open_part(ama)


def test_an_acknowledged_item_is_open_again_after_half_a_day(
    ama: Client, leak: list[Attention]
) -> None:
    import time_machine

    with time_machine.travel(seconds_ago(13 * 3600)):
        ama.force_login(UserFactory(role=Role.OPS))
        acknowledge(ama, key="leak", note="On it.")
    ama.force_login(UserFactory(role=Role.OPS))
    assert "The roof" in open_part(ama)


def test_an_item_that_is_gone_cannot_be_acknowledged(ama: Client) -> None:
    answer = ama.post(reverse("admin:acknowledge"), {"key": "leak"}, follow=True)
    assert "it has been dealt with" in answer.content.decode()


def test_a_reader_cannot_acknowledge(leak: list[Attention]) -> None:
    reader = browser_of(Role.READONLY)
    assert "Acknowledge…" not in page(reader)
    assert acknowledge(reader, key="leak").status_code == 403


def test_operations_pause_and_resume_everything_without_seeing_the_policy(ama: Client) -> None:
    from fleet import policy

    address = reverse("admin:act", args=["fleet.policy", "pause"]) + "?id=1&next=/admin/"
    assert address.replace("&", "&amp;") in page(ama)
    answer = ama.post(address, {"reason": "Storm.", "next": "/admin/"})
    assert answer["Location"] == "/admin/"
    assert policy.current().dispatch_paused
    assert "Dispatch is paused everywhere" in page(ama)
    resume = reverse("admin:act", args=["fleet.policy", "resume"]) + "?id=1&next=/admin/"
    ama.post(resume, {"reason": "Over."})
    assert not policy.current().dispatch_paused


def test_the_numbers_count_what_was_delivered_today(ama: Client) -> None:
    order_in(Status.DELIVERED)
    order_in(Status.QUEUED)
    show(TelemetryFactory(drone_id=DroneFactory().pk))
    numbers = {n.label: n.value for n in ama.get(reverse("admin:now")).context["numbers"]}
    assert numbers["Queued"] == "1"
    assert numbers["Delivered today"] == "1"
    assert numbers["On time today"] == "100 %"
    assert numbers["Normal, to the door"] == "0 min"
    assert numbers["Drones: ready"] == "1"


@pytest.fixture
def sources(monkeypatch: pytest.MonkeyPatch) -> list[registry.AttentionSource]:
    """Only the sources that the test adds."""
    monkeypatch.setattr(registry, "attention_sources", made := [])
    return made


def calm(look: Look) -> list[Attention]:
    return []


def test_without_items_a_short_sentence_says_so_above_the_folded_checks(
    ama: Client, sources: Any
) -> None:
    for checks in ("no order is late", "no drone is offline", "no roof leaks"):
        registry.add_attention(calm, checks=checks)
    text = page(ama)
    assert '<p class="wx-empty">Nothing needs you.</p>' in text
    folded = text.partition('<details id="checked">')[2].partition("</details>")[0]
    assert "3 checks found nothing" in folded
    assert "<li>No roof leaks.</li>" in folded
    assert "Not checked" not in text


def test_a_check_with_an_acknowledged_item_is_not_in_the_sentence(
    ama: Client, sources: Any, leak: list[Attention]
) -> None:
    registry.add_attention(calm, checks="no order is late")
    assert "Nothing" not in page(ama)
    acknowledge(ama, key="leak", note="On it.")
    text = page(ama)
    assert "Nothing else needs you." in text
    assert "1 check found nothing" in text
    assert "<li>No order is late.</li>" in text


@pytest.mark.parametrize(
    ("error", "why"),
    [
        (RedisError("Connection refused"), "Redis does not answer"),
        (NotChecked("the fleet picture is old"), "the fleet picture is old"),
        (ValueError("a bug"), "the check itself failed"),
    ],
)
def test_a_failed_check_is_shown_as_not_checked(
    ama: Client, sources: Any, error: Exception, why: str
) -> None:
    def broken(look: Look) -> Iterator[Attention]:
        raise error
        yield

    registry.add_attention(calm, checks="no order is late")
    registry.add_attention(broken, checks="no drone is offline")
    text = page(ama)
    assert "Nothing that could be checked needs you." in text
    assert "<li>No order is late.</li>" in text
    assert f"Not checked, because {why}" in text
    assert "It is not known that no drone is offline." in text


def test_without_any_check_nothing_is_called_well(ama: Client, sources: Any) -> None:
    assert "Nothing was checked, so nothing is known." in page(ama)


def test_offline_drones_are_one_line_that_names_the_first(ama: Client) -> None:
    online = [DroneFactory() for _ in range(5)]
    for _ in range(6):
        DroneFactory()
    old = DroneFactory()
    DroneFactory(active=False)
    silent_since = seconds_ago(600)
    show(
        *(TelemetryFactory(drone_id=drone.pk) for drone in online),
        TelemetryFactory(drone_id=old.pk, measured_at=silent_since),
    )
    text = page(ama)
    assert "7 of 12 drones are offline" in text
    assert f"{old} is offline: last telemetry 10 min ago" in text
    opened = ama.get(reverse("admin:now"), {"open": "offline"}).content.decode()
    assert opened.count("is offline: no telemetry yet</a>") == 6
    assert f"{reverse('admin:fleet_drone_changelist')}?readiness=OFFLINE" in text
    assert f'datetime="{silent_since:%Y-%m-%dT%H:%M}' in text


def test_without_an_offline_drone_there_is_no_line_about_them(ama: Client) -> None:
    show(TelemetryFactory(drone_id=DroneFactory().pk))
    assert "offline" not in page(ama).partition('id="numbers"')[0]


def test_a_stale_picture_hides_the_line_about_offline_drones(ama: Client) -> None:
    DroneFactory()
    assert "drones are offline" not in page(ama)
    assert "because there is no picture of the fleet" in page(ama)
    show(TelemetryFactory(), fetched_at=seconds_ago(100))
    assert "drone is offline" not in open_part(ama).replace("that no drone in service is", "")
    assert "because the fleet picture is old" in page(ama)


def test_values_that_telemetry_lacks_are_one_line(ama: Client) -> None:
    blind, whole = DroneFactory(), DroneFactory()
    show(
        TelemetryFactory(drone_id=blind.pk, battery_pct=None, mode=None),
        TelemetryFactory(drone_id=whole.pk),
    )
    text = page(ama)
    assert "Telemetry lacks values that dispatch needs" in text
    assert "1 of 2 drones lacks battery.remaining_pct" in text
    assert "1 cannot get orders." in text


def test_the_map_has_drones_orders_and_places(ama: Client) -> None:
    drone = DroneFactory()
    show(TelemetryFactory(drone_id=drone.pk, heading_deg=90, armed=True))
    order = order_in(Status.ENROUTE, drone=drone)
    layers = on_the_map.layers(ama)
    (shown,) = layers["drones"]
    assert (shown["id"], shown["heading_deg"], shown["tone"]) == (f"drone-{drone}", 90, "busy")
    assert [f["look"] for f in layers["flying"]] == ["line", "pickup", "drop"]
    assert layers["flying"][0]["url"] == reverse("admin:orders_order_change", args=[order.pk])
    assert len(layers["areas"]) == len(layers["hubs"]) == 1


def test_the_map_holds_no_personal_data(ama: Client) -> None:
    order_in(Status.ENROUTE)
    data = ama.get(reverse("admin:map-data")).content.decode()
    assert "Mensah" not in data
    assert "241234567" not in data


def test_a_paused_area_is_shown_until_it_is_resumed(ama: Client) -> None:
    area = OrderFactory().service_area
    pause = reverse("admin:act", args=["fleet.servicearea", "pause"]) + f"?id={area.pk}"
    ama.post(pause, {"reason": "Parade."})
    assert f"Dispatch is paused in {area}" in page(ama)
    resume = reverse("admin:act", args=["fleet.servicearea", "resume"]) + f"?id={area.pk}"
    ama.post(resume, {"reason": "Over."})
    assert f"Dispatch is paused in {area}" not in page(ama)


def test_a_remedy_is_offered_to_those_who_may_apply_it(ama: Client) -> None:
    order_in(Status.DELIVERED, pod_requirement=PodRequirement.OPERATOR_CONFIRM)
    assert "Confirm the delivery…" in page(ama)
    reader = page(browser_of(Role.READONLY))
    assert "was delivered without its proof" in reader
    assert "Confirm the delivery…" not in reader
    assert "Pause dispatch everywhere" not in reader


def test_a_late_order_that_waits_can_be_assigned_from_its_line(ama: Client) -> None:
    order = OrderFactory(deliver_by=seconds_ago(700))
    assert f"orders.order/assign/?id={order.pk}" in page(ama)


def test_test_orders_are_not_in_the_numbers_the_items_or_the_map(ama: Client) -> None:
    order = OrderFactory(live_mode=False, deliver_by=seconds_ago(700))
    assert f"order {order} is late" not in page(ama)
    numbers = {n.label: n.value for n in ama.get(reverse("admin:now")).context["numbers"]}
    assert numbers["Queued"] == "0"
    layers = on_the_map.layers(ama)
    assert layers["queued"] == []


def test_the_scale_of_a_chart_ends_above_its_highest_hour() -> None:
    from wingxtra.console.dashboard import bars

    labels = [f"{hour}:00" for hour in range(24)]
    chart = bars(registry.Chart("Orders", labels, {"Placed": [7.0, *[0.0] * 23]}))
    assert chart["scale"] == ["10", "5", "0"]
    assert chart["bars"][0]["heights"] == [70]
    assert chart["totals"] == "7 placed"


def test_a_drone_that_falls_silent_on_a_delivery_has_a_ring_on_the_map(ama: Client) -> None:
    silent, online = DroneFactory(), DroneFactory()
    for drone in (silent, online):
        order_in(Status.ENROUTE, drone=drone)
    show(
        TelemetryFactory(drone_id=silent.pk, measured_at=seconds_ago(40)),
        TelemetryFactory(drone_id=online.pk),
    )
    drones = on_the_map.layers(ama)["drones"]
    assert {drone["label"]: drone["is_alert"] for drone in drones} == {
        silent.pk: True,
        online.pk: False,
    }


def test_states_on_the_map_have_readable_labels(ama: Client) -> None:
    order_in(Status.ENROUTE)
    layers = on_the_map.layers(ama)
    assert {feature["state"] for feature in layers["flying"]} == {"En route"}
