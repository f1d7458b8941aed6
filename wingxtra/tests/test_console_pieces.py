"""The contributions of dispatch, proofs and tracking to the console."""

from datetime import timedelta

import pytest
from django.contrib.admin.models import LogEntry
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from dispatch.console.presentation import compared, said
from dispatch.models import DispatchRun, Mission, MissionPart
from dispatch.planning import manual_assignment
from dispatch.planning.runs import run
from fleet.tests.factories import DroneFactory, TelemetryFactory, show
from orders.models import Order
from orders.states import PodRequirement, Status
from orders.tests.factories import OrderFactory, order_in
from tracking.models import WebhookDelivery, WebhookEndpoint
from tracking.webhooks import console, endpoints
from wingxtra.accounts.identity import Actor, ActorKind, Role
from wingxtra.accounts.tests.factories import UserFactory
from wingxtra.console import watches

pytestmark = pytest.mark.django_db
AMA = Actor(ActorKind.USER, "ama")


def browser_of(role: Role) -> Client:
    browser = Client()
    browser.force_login(UserFactory(role=role, is_staff=True))
    return browser


@pytest.fixture
def browser() -> Client:
    return browser_of(Role.OPS)


def now_page(browser: Client) -> str:
    return browser.get(reverse("admin:now")).content.decode()


def order_page(browser: Client, order: Order) -> str:
    return browser.get(reverse("admin:orders_order_change", args=[order.pk])).content.decode()


def ready_drone() -> str:
    drone_id: str = DroneFactory().pk
    show(TelemetryFactory(drone_id=drone_id))
    return drone_id


# --- missions ------------------------------------------------------------------------------------


def mission_in(status: Status, **changes: object) -> MissionPart:
    """The part of a mission for an order in this state."""
    order = order_in(status)
    Mission.objects.filter(parts__order=order).update(**changes)
    return MissionPart.objects.with_related().get(order=order)


def test_many_waiting_missions_are_one_line_that_says_what_to_do(browser: Client) -> None:
    for _ in range(3):
        mission_in(Status.ASSIGNED, tries=2, bridge_answer="ConnectTimeout")
    page = now_page(browser)
    assert "3 missions do not get through to ground control" in page
    assert "2 tries. ConnectTimeout. Look whether ground control runs" in page


def test_one_waiting_mission_is_its_own_item(browser: Client) -> None:
    part = mission_in(Status.ASSIGNED, tries=2, bridge_answer="ConnectTimeout")
    assert f"The mission of order {part.order} does not get through" in now_page(browser)


def test_a_drone_that_does_not_start_is_an_item(browser: Client) -> None:
    accepted_at = timezone.now() - timedelta(minutes=10)
    part = mission_in(Status.MISSION_SUBMITTED, accepted_at=accepted_at)
    page = now_page(browser)
    assert f"has not started with order {part.order}" in page
    assert "accepted the mission 10 min ago" in page


def test_a_drone_that_can_still_start_in_time_is_not_an_item(browser: Client) -> None:
    mission_in(Status.MISSION_SUBMITTED)
    assert "has not started" not in now_page(browser)


def test_a_mission_that_was_recalled_too_late_is_an_item(browser: Client) -> None:
    part = mission_in(
        Status.ASSIGNED,
        recall_state=Mission.Recall.TOO_LATE,
        recall_asked_at=timezone.now(),
        recall_reason="The customer asked.",
    )
    MissionPart.objects.filter(pk=part.pk).update(live=True)
    page = now_page(browser)
    assert f"flies order {part.order}, which was taken from it" in page
    assert f"Ground control says that {part.mission.drone_id} flies" in page


def test_a_late_recall_is_not_said_to_fly_when_telemetry_shows_the_drone_landed(
    browser: Client,
) -> None:
    part = mission_in(Status.ASSIGNED, recall_state=Mission.Recall.TOO_LATE)
    MissionPart.objects.filter(pk=part.pk).update(live=True)
    drone_id, order = str(part.mission.drone_id), part.order
    show(TelemetryFactory(drone_id=drone_id, lat=order.dropoff_lat, lng=order.dropoff_lng))
    assert f"{drone_id} is at the drop point, motors off" in now_page(browser)


def test_a_mission_that_ops_must_submit_is_an_item(browser: Client) -> None:
    part = mission_in(
        Status.ASSIGNED,
        state=Mission.State.HELD,
        created_at=timezone.now() - timedelta(minutes=2),
    )
    assert f"The mission of order {part.order} waits for you" in now_page(browser)


# --- decisions -----------------------------------------------------------------------------------


def test_an_order_assigned_by_hand_shows_by_whom(browser: Client) -> None:
    order, drone_id = OrderFactory(), ready_drone()
    manual_assignment.assign(order.pk, drone_id, by=AMA)
    page = order_page(browser, order)
    assert "By hand" in page
    assert f"{drone_id} was chosen by hand" in page
    assert "No run has looked at this order yet" not in page


def test_a_dry_run_shows_its_plan_on_a_map(browser: Client) -> None:
    order, drone_id = OrderFactory(), ready_drone()
    planned = run(trigger=DispatchRun.Trigger.CONSOLE, by=AMA, dry_run=True).run
    address = reverse("admin:dispatch_dispatchrun_change", args=[planned.pk])
    page = browser.get(address).content.decode()
    assert "What it would do" in page
    assert f"{drone_id} to the pickup of {order}" in page
    assert Order.objects.get(pk=order.pk).status == Status.QUEUED


# --- codes ---------------------------------------------------------------------------------------


def test_a_new_code_is_shown_once_and_stored_nowhere(browser: Client) -> None:
    order = order_in(Status.QUEUED, pod_requirement=PodRequirement.OTP)
    address = reverse("admin:act", args=["orders.order", "renew-code"]) + f"?id={order.pk}"
    seen = browser.get(address).context["targets"][0].token
    answer = browser.post(address, {f"seen-{order.pk}": seen})
    code = answer.context["targets"][0].secret.value
    assert code in answer.content.decode()
    assert "no-store" in answer["Cache-Control"]
    assert code not in order_page(browser, order)
    assert code not in LogEntry.objects.get().change_message
    assert not any(code in event.message for event in order.events.all())


def test_an_order_without_a_code_gets_no_new_one(browser: Client) -> None:
    assert "renew-code" not in order_page(browser, order_in(Status.QUEUED))


# --- webhooks ------------------------------------------------------------------------------------


@pytest.fixture
def endpoint() -> WebhookEndpoint:
    return endpoints.create(OrderFactory().merchant_id, url="https://shop.example/hook")[0]


def switched_off(endpoint: WebhookEndpoint) -> WebhookEndpoint:
    WebhookEndpoint.objects.filter(pk=endpoint.pk).update(
        enabled=False, switched_off_at=timezone.now(), switched_off_because="It failed for 3 days."
    )
    return endpoint


def test_an_orders_page_lists_its_webhooks(browser: Client, endpoint: WebhookEndpoint) -> None:
    order = OrderFactory(merchant=endpoint.merchant)
    page = order_page(browser, order)
    assert "order.queued" in page
    assert "https://shop.example/hook" in page


def test_the_page_shows_the_newest_webhooks_and_says_how_many_more_there_are(
    browser: Client, endpoint: WebhookEndpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(console, "MOST_SHOWN", 2)
    order = order_in(Status.LAUNCHED, merchant=endpoint.merchant)
    sent = list(order.webhook_deliveries.order_by("event_id").values_list("type", flat=True))
    page = order_page(browser, order)
    assert [type_ in page for type_ in sent] == [False] * (len(sent) - 2) + [True, True]
    assert f"The newest 2 are shown, {len(sent) - 2} more" in page
    listed = f"{reverse('admin:tracking_webhookdelivery_changelist')}?order__id__exact={order.pk}"
    assert f'href="{listed}"' in page
    OrderFactory(merchant=endpoint.merchant)
    assert len(browser.get(listed).context["cl"].result_list) == len(sent)


def test_a_webhook_that_was_switched_off_is_an_item_and_can_be_switched_on(
    browser: Client, endpoint: WebhookEndpoint
) -> None:
    switched_off(endpoint)
    assert "It failed for 3 days." in now_page(browser)
    action = reverse("admin:act", args=["tracking.webhookendpoint", "switch-on"])
    browser.post(f"{action}?id={endpoint.pk}", {"reason": "They mended it."})
    assert WebhookEndpoint.objects.get(pk=endpoint.pk).enabled
    assert "It failed for 3 days." not in now_page(browser)


def test_a_webhook_is_sent_again_by_hand(browser: Client, endpoint: WebhookEndpoint) -> None:
    delivery = endpoints.make_test(endpoint)
    rows = WebhookDelivery.objects.filter(pk=delivery.pk)
    rows.update(state=WebhookDelivery.State.GIVEN_UP, given_up_because="All ten tries failed.")
    action = reverse("admin:act", args=["tracking.webhookdelivery", "replay"])
    browser.post(f"{action}?id={delivery.pk}")
    assert rows.get().state == WebhookDelivery.State.WAITING


@pytest.mark.parametrize(("role", "sees"), [(Role.OPS, True), (Role.READONLY, False)])
def test_the_sent_body_needs_the_permission_for_personal_data(
    role: Role, sees: bool, endpoint: WebhookEndpoint
) -> None:
    order = OrderFactory(merchant=endpoint.merchant)
    delivery = order.webhook_deliveries.first()
    assert delivery is not None
    address = reverse("admin:tracking_webhookdelivery_change", args=[delivery.pk])
    assert ("Ama Mensah" in browser_of(role).get(address).content.decode()) == sees


# --- what pages may load -------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/admin/", "/admin/login/"])
def test_the_console_loads_only_tiles_from_other_servers(browser: Client, path: str) -> None:
    policy = browser.get(path)["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "script-src 'self' 'unsafe-eval';" in policy
    assert "https://tile.openstreetmap.org" in policy


@pytest.mark.parametrize("path", ["/docs", "/nothing-here"])
def test_other_pages_have_the_strict_policy(path: str) -> None:
    policy = Client().get(path)["Content-Security-Policy"]
    assert "script-src 'self'" in policy
    assert "unsafe" not in policy


@pytest.mark.parametrize(
    "path", ["/health", "/api/v1/orders", "/api/v1/nothing-here", "/gcs/nothing-here"]
)
def test_data_may_load_nothing(path: str) -> None:
    policy = Client().get(path)["Content-Security-Policy"]
    assert policy == "default-src 'none'; frame-ancestors 'none'"


def test_a_dry_run_is_not_shown_as_a_decision(browser: Client) -> None:
    order, drone_id = OrderFactory(), ready_drone()
    run(trigger=DispatchRun.Trigger.CONSOLE, by=AMA, dry_run=True)
    page = order_page(browser, order)
    assert "No run has looked at this order yet" in page
    assert f"{drone_id} takes" not in page


def test_a_dry_run_from_the_list_leads_to_its_page(browser: Client) -> None:
    order, drone_id = OrderFactory(), ready_drone()
    runs_page = browser.get(reverse("admin:dispatch_dispatchrun_changelist")).content.decode()
    address = reverse("admin:act", args=["fleet.servicearea", "dry-run"])
    assert f"{address}?id={order.service_area_id}" in runs_page
    answer = browser.post(f"{address}?id={order.service_area_id}", follow=True).content.decode()
    assert "1 of 1 queued orders would get a drone" in answer
    assert f"{drone_id} to the pickup of {order}" in answer
    assert DispatchRun.objects.get().dry_run


def test_while_everything_is_paused_no_area_can_be_paused(browser: Client) -> None:
    OrderFactory()
    browser.post(reverse("admin:act", args=["fleet.policy", "pause"]) + "?id=1", {"reason": "x"})
    page = browser.get(reverse("admin:dispatch_dispatchrun_changelist")).content.decode()
    assert "Dispatch is paused everywhere" in page
    assert "paused, as dispatch is paused everywhere" in page
    assert "fleet.servicearea/pause" not in page


def test_a_runner_up_is_shown_beside_the_chosen_drone() -> None:
    chosen = {"delivery_s": 240.0, "energy_pct": 16.0}
    later = {"delivery_s": 300.0, "energy_pct": 19.0}
    sooner = {"delivery_s": 180.0, "energy_pct": 12.0}
    assert compared(later, chosen) == "1 min later, 3 % more battery"
    assert compared(sooner, chosen) == "1 min sooner, 4 % less battery"
    assert compared(chosen, chosen) == "as soon, for as much battery"
    assert compared(later, {}) == ""


@pytest.mark.parametrize(
    ("status", "answer", "told"),
    [
        (None, "", "—"),
        (None, "Connection refused.", "Connection refused."),
        (202, "The mission was accepted.", "Accepted (202). The mission was accepted."),
        (
            201,
            '{"intent_id": "6f1c", "status": "accepted", "queued": true, "note": null}',
            "Accepted (201). Intent id: 6f1c, Status: accepted, Queued: yes, Note: none",
        ),
        (409, '{"status": "accepted"}', "Known already (409). Status: accepted"),
        (
            422,
            '[{"loc": ["body", "lat"], "msg": "too far"}]',
            "Refused (422). No. 1, loc: body, lat, No. 1, msg: too far",
        ),
        (503, '"busy"', "Its own fault (503). busy"),
        (500, '{"cut": "in the midd', 'Its own fault (500). {"cut": "in the midd'),
    ],
)
def test_ground_controls_answer_is_told_in_words(
    status: int | None, answer: str, told: str
) -> None:
    assert said(status, answer).in_short == told


def test_ground_controls_json_is_labelled_lines_with_the_raw_one_folded(browser: Client) -> None:
    answer = '{"intent_id": "6f1c", "status": "accepted"}'
    part = mission_in(Status.MISSION_SUBMITTED, bridge_status=201, bridge_answer=answer)
    mission_page = reverse("admin:dispatch_mission_change", args=[part.mission_id])
    for page in (order_page(browser, part.order), browser.get(mission_page).content.decode()):
        assert "<dt>Status</dt><dd>accepted</dd>" in page
        assert "Accepted (201)" in page
        raw = page.index("&quot;status&quot;: &quot;accepted&quot;")
        assert page.rindex("<summary", 0, raw) == page.rindex(
            '<summary class="wx-quiet">The answer as it came', 0, raw
        )


def test_the_orders_page_shows_the_mission_as_sent(browser: Client) -> None:
    part = mission_in(Status.MISSION_SUBMITTED)
    page = order_page(browser, part.order)
    assert "The mission as sent" in page
    assert "&quot;intent_id&quot;" in page


@pytest.mark.parametrize("role", [Role.READONLY, Role.OPS])
def test_a_page_gets_the_changes_since_it_was_opened(role: Role) -> None:
    order, reader = OrderFactory(), browser_of(role)
    since = watches.watched(order, "cancel", watches.tokens(Order, [order], "cancel")[order.pk])
    assert reader.get(since).json() == {"changes": []}
    manual_assignment.assign(order.pk, ready_drone(), by=AMA)
    (change,) = reader.get(since).json()["changes"]
    assert "ama: Drone assigned." in change


@pytest.mark.parametrize("query", ["", "?id=nonsense", "?id=00000000-0000-0000-0000-000000000000"])
@pytest.mark.parametrize("label", ["orders.order", "fleet.drone", "no.thing"])
def test_changes_of_an_unknown_object_are_a_404(browser: Client, label: str, query: str) -> None:
    assert browser.get(reverse("admin:changes", args=[label]) + query).status_code == 404
