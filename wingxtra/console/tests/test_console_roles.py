"""Access to every page and every action of the console, for every role."""

import json
from typing import Any

import pytest
from django.contrib import admin
from django.contrib.auth.models import Group
from django.test import Client
from django.urls import reverse

from dispatch.missions import discrepancies
from dispatch.models import Discrepancy, Occurrence, PublishingPause, ShiftNote
from dispatch.shift import notes
from dispatch.tests.test_occurrences import written
from fleet.airspace import imports
from fleet.airworthiness import records
from fleet.models import Defect, Hub, Policy, ServiceArea, Shift, ZoneImport
from fleet.tests.factories import DroneFactory, GeoZoneFactory, HubFactory, ShiftFactory
from orders.models import Order
from orders.states import Status
from orders.tests.factories import OrderFactory, order_in
from pod import cases
from pod.models import Case
from tracking.models import WebhookDelivery, WebhookEndpoint
from tracking.webhooks import endpoints
from wingxtra.accounts.identity import CUSTOMER, SYSTEM, Role
from wingxtra.accounts.models import ApiKey, User
from wingxtra.accounts.tests.factories import MerchantFactory, UserFactory
from wingxtra.console import actions
from wingxtra.console.roles import CONSOLE_ROLES
from wingxtra.escalation.models import Rule
from wingxtra.escalation.tests.support import RuleFactory

pytestmark = pytest.mark.django_db

ADMIN_ONLY = {
    "accounts.apikey",
    "accounts.user",
    "fleet.policy",
    "fleet.policyversion",
    "admin.logentry",
}
# Our apps. Only ADMIN has permissions on pages of libraries.
OURS = {
    "accounts",
    "fleet",
    "orders",
    "dispatch",
    "pod",
    "tracking",
    "admin",
    "console",
    "escalation",
}


def signed_in(role: Role | None, **client: Any) -> Client:
    """A browser with a login of this role; not logged in for None."""
    browser = Client(**client)
    if role is not None:
        merchant = MerchantFactory() if role == Role.MERCHANT else None
        browser.force_login(UserFactory(role=role, merchant=merchant, is_staff=True))
    return browser


def model_pages() -> list[str]:
    return sorted(model._meta.label_lower for model in admin.site._registry)


def test_each_role_has_a_group_with_its_permissions() -> None:
    groups = {group.name: group for group in Group.objects.all()}
    readonly, ops, everything = (
        {p.codename for p in groups[name].permissions.all()}
        for name in ("READONLY", "OPS", "ADMIN")
    )
    assert readonly < ops < everything
    assert all(codename.startswith("view_") for codename in readonly)
    assert "view_personal_data" not in readonly
    assert not any("policy" in codename or "user" in codename for codename in ops)


@pytest.mark.parametrize("label", model_pages())
@pytest.mark.parametrize("role", [*Role, None])
def test_lists_open_for_roles_that_may_see_them(label: str, role: Role | None) -> None:
    app, model = label.split(".")
    answer = signed_in(role).get(reverse(f"admin:{app}_{model}_changelist"))
    if role not in CONSOLE_ROLES:
        assert answer.status_code == 302
        assert "/login/" in answer["Location"]
    elif role != Role.ADMIN and (label in ADMIN_ONLY or app not in OURS):
        assert answer.status_code == 403
    elif label == "fleet.policy":
        assert answer.status_code == 302
        assert answer["Location"] == reverse("admin:fleet_policy_change", args=[1])
    else:
        assert answer.status_code == 200


@pytest.mark.parametrize("name", ["index", "now", "map", "map-data"])
@pytest.mark.parametrize("role", [*Role, None])
def test_the_dashboard_and_the_map_open_for_staff_only(name: str, role: Role | None) -> None:
    answer = signed_in(role).get(reverse(f"admin:{name}"))
    assert answer.status_code == (302 if role not in CONSOLE_ROLES else 200)


def something_for(model: type) -> Any:
    """An object of the model, for an action's page."""
    if model is Order:
        return OrderFactory()
    if model is Policy:
        return Policy.objects.get()
    if model is Discrepancy:
        order = order_in(Status.ENROUTE)
        assert order.current_job is not None
        discrepancies.raise_(order.current_job, Discrepancy.Code.AT_THE_DROP, "It stands there.")
        return Discrepancy.objects.get()
    if model is Case:
        order = order_in(Status.DELIVERED)
        cases.open_case(order.pk, cases.Complaint(Case.Kind.NOT_HERE), by=CUSTOMER)
        return Case.objects.get()
    if model is PublishingPause:
        return PublishingPause.objects.create(because="422", refused=3)
    if model is ApiKey:
        return ApiKey.issue(name="till 3", role=Role.OPS)[0]
    if model is ServiceArea:
        return OrderFactory().service_area
    if model is User:
        return UserFactory(ops=True)
    if model is Hub:
        return HubFactory()
    if model is ShiftNote:
        return notes.write("Nothing.", by=UserFactory(ops=True))
    if model in (WebhookEndpoint, WebhookDelivery):
        endpoint, _ = endpoints.create(MerchantFactory().pk, url="https://shop.example/hook")
        return endpoint if model is WebhookEndpoint else endpoints.make_test(endpoint)
    if model is Occurrence:
        return written()
    if model is ZoneImport:
        content = json.dumps({"features": [{}]}).encode()
        return imports.check(content, file_name="gh.json", source="GCAA", by=SYSTEM)
    if model is Shift:
        return ShiftFactory()
    if model is Defect:
        drone = DroneFactory()
        return records.report_defect(drone.pk, by=SYSTEM, description="Arm.", grounds=True)
    return RuleFactory() if model is Rule else DroneFactory()


# Only administrators act on these, and carry out these actions.
RULED_BY_ADMIN = (ApiKey, User, ZoneImport, Rule)
ADMINISTRATORS_DO = {
    ("fleet.drone", "correct_counters"),
    (Occurrence._meta.label_lower, "release"),
}


@pytest.mark.parametrize("key", sorted(actions._actions))
@pytest.mark.parametrize("role", [*Role, None])
def test_actions_open_for_roles_that_may_carry_them_out(
    key: tuple[str, str], role: Role | None
) -> None:
    action = actions._actions[key]
    target = something_for(action.model)
    browser = signed_in(role)
    url = action.url(target.pk)
    ruled_by_admin = action.model in RULED_BY_ADMIN or key in ADMINISTRATORS_DO
    may = role == Role.ADMIN or (role == Role.OPS and not ruled_by_admin)
    expected = 302 if role not in CONSOLE_ROLES else 200 if may else 403
    assert browser.get(url).status_code == expected
    if not may:
        # Posted directly, without opening the form first. Logged out, the form is given back.
        refused = browser.post(url, {"reason": "OTHER"})
        assert refused.status_code == (403 if role is None else expected)


@pytest.mark.parametrize("key", sorted(actions._actions))
def test_opening_an_action_changes_nothing(key: tuple[str, str]) -> None:
    action = actions._actions[key]
    target = something_for(action.model)
    before = type(target)._default_manager.filter(pk=target.pk).values().get()
    signed_in(Role.ADMIN).get(action.url(target.pk), {"id": target.pk, "reason": "OTHER"})
    assert type(target)._default_manager.filter(pk=target.pk).values().get() == before


@pytest.mark.parametrize("key", sorted(actions._actions))
def test_an_action_without_a_csrf_token_is_refused(key: tuple[str, str]) -> None:
    action = actions._actions[key]
    target = something_for(action.model)
    browser = signed_in(Role.ADMIN, enforce_csrf_checks=True)
    assert browser.post(action.url(target.pk), {"reason": "OTHER"}).status_code == 403


@pytest.mark.parametrize("role", [Role.OPS, Role.READONLY])
def test_the_policy_is_for_administrators_only(role: Role) -> None:
    url = reverse("admin:fleet_policy_change", args=[1])
    browser = signed_in(role)
    assert browser.get(url).status_code == 403
    assert browser.post(url, {"battery_min_pct": 1}).status_code == 403
    assert Policy.objects.get().battery_min_pct == 30


@pytest.mark.parametrize("role", [Role.READONLY, Role.OPS, Role.ADMIN])
def test_no_role_edits_or_deletes_an_order_by_hand(role: Role) -> None:
    order = order_in(Status.QUEUED)
    browser = signed_in(role)
    page = reverse("admin:orders_order_change", args=[order.pk])
    browser.post(page, {"status": "DELIVERED", "customer_name": "Kofi"})
    delete = reverse("admin:orders_order_delete", args=[order.pk])
    assert browser.post(delete, {"post": "yes"}).status_code == 403
    assert browser.get(reverse("admin:orders_order_add")).status_code == 403
    now = Order.objects.get(pk=order.pk)
    assert (now.status, now.customer_name) == (Status.QUEUED, "Ama Mensah")


def test_a_reader_sees_areas_and_zones_and_changes_none() -> None:
    zone = GeoZoneFactory()
    url = reverse("admin:fleet_geozone_change", args=[zone.pk])
    browser = signed_in(Role.READONLY)
    assert browser.get(url).status_code == 200
    assert browser.post(url, {"name": "Mine"}).status_code == 403
    assert User.objects.filter(role=Role.READONLY).count() == 1
