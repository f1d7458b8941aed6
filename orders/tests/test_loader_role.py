"""A loader has access to the list of its own hub and to nothing else."""

import re
from typing import Any

import pytest
from django.contrib import admin
from django.db import IntegrityError, transaction
from django.test import Client
from django.urls import reverse

from fleet.models import Hub
from fleet.tests.factories import HubFactory
from orders.models import Loader, Order
from orders.states import Status
from orders.tests.factories import StoreFactory, order_in
from orders.tests.loading import browser_of, drone_of, loader_at
from wingxtra.accounts.identity import Role
from wingxtra.accounts.models import ApiKey, User
from wingxtra.accounts.tests.factories import PASSWORD, UserFactory, api_client
from wingxtra.tests.openapi import described

pytestmark = pytest.mark.django_db
# What a loader may call: the label, and what is for strangers as well.
OPEN = re.compile(r"/api/v1/(tracking|auth|pod-images?|pod/)|/(label|ready|custody)$")
LOGIN = "/admin/login/"


@pytest.fixture
def hub() -> Hub:
    made: Hub = HubFactory()
    return made


@pytest.fixture
def kofi(hub: Hub) -> User:
    return loader_at(hub, username="kofi")


def log_in(browser: Client, path: str = LOGIN) -> Any:
    return browser.post(path, {"username": "kofi", "password": PASSWORD}, follow=True)


# --- the log-in ----------------------------------------------------------------------------------


def test_the_log_in_leads_to_the_list(hub: Hub, kofi: User) -> None:
    page = reverse("loading-hub", args=[hub.pk])
    assert log_in(Client()).redirect_chain[-1][0] == page
    assert log_in(Client(), "/admin/login/?next=/admin/").redirect_chain[-1][0] == page


def test_the_log_in_leads_to_the_scanned_label(hub: Hub, kofi: User) -> None:
    order = order_in(Status.ASSIGNED, drone=drone_of(hub))
    path = reverse("loading-scan", args=[order.pk])
    browser = Client()
    asked = browser.get(path).headers["Location"]
    assert log_in(browser, asked).redirect_chain == [(path, 302)]


def test_a_deactivated_loader_loses_access_at_once(hub: Hub, kofi: User) -> None:
    browser = browser_of(kofi)
    User.objects.filter(pk=kofi.pk).update(is_active=False)
    assert LOGIN in browser.get(reverse("loading-hub", args=[hub.pk])).headers["Location"]
    assert "correct username and password" in log_in(Client()).content.decode()


def test_a_merchants_user_still_cannot_log_in_to_the_console() -> None:
    order = order_in(Status.QUEUED)
    UserFactory(username="kofi", merchant=order.merchant)
    assert "correct username and password" in log_in(Client()).content.decode()


def test_logging_out_ends_the_session(hub: Hub, kofi: User) -> None:
    browser = browser_of(kofi)
    assert browser.post(reverse("loading-leave")).status_code == 302
    assert LOGIN in browser.get("/load/").headers["Location"]


# --- no other access -----------------------------------------------------------------------------


def test_a_loader_opens_no_page_of_the_console(kofi: User) -> None:
    User.objects.filter(pk=kofi.pk).update(is_staff=True)  # the flag must not give access
    browser = browser_of(kofi)
    names = [f"{model._meta.label_lower.replace('.', '_')}" for model in admin.site._registry]
    paths = [reverse(f"admin:{name}_changelist") for name in names]
    paths += [reverse(f"admin:{name}") for name in ("index", "now", "map", "map-data")]
    for path in paths:
        answer = browser.get(path)
        assert answer.status_code == 302, path
        assert LOGIN in answer.headers["Location"], path


@pytest.mark.parametrize("by_token", [True, False])
def test_a_loader_may_call_no_other_api(hub: Hub, kofi: User, by_token: bool) -> None:
    order = order_in(Status.ASSIGNED, drone=drone_of(hub))
    client = api_client(None if by_token else kofi)
    if by_token:
        given = client.post("/api/v1/auth/token", {"username": "kofi", "password": PASSWORD})
        client.credentials(HTTP_AUTHORIZATION=f"Bearer {given.json()['access']}")
    closed = [call for call in described().calls if not OPEN.search(call.path)]
    assert len(closed) > 25
    for call in closed:
        path = re.sub(r"\{\w+\}", str(order.pk), call.path)
        answer = getattr(client, call.method.lower())(path, {})
        assert answer.status_code == 403, (call.method, path)


def test_ground_control_calls_and_records_are_closed_to_a_loader(hub: Hub, kofi: User) -> None:
    order = order_in(Status.ASSIGNED, drone=drone_of(hub))
    for client in (api_client(kofi), browser_of(kofi)):
        record = client.get(f"/api/v1/orders/{order.pk}/record")
        assert record.status_code in (403, 404)
    for path in ("/gcs/drones", "/gcs/orders"):
        assert api_client(kofi).get(path).status_code in (403, 404)
    assert not Order.objects.visible_to(kofi).exists()


# --- creating a loader ---------------------------------------------------------------------------


def new_user(**changed: Any) -> dict[str, Any]:
    return {
        "username": "esi",
        "role": Role.LOADER,
        "password1": PASSWORD,
        "password2": PASSWORD,
        "loads_at-TOTAL_FORMS": "1",
        "loads_at-INITIAL_FORMS": "0",
        **changed,
    }


def test_an_administrator_creates_a_loader_with_a_hub(hub: Hub) -> None:
    browser = browser_of(UserFactory(admin=True))
    add = reverse("admin:accounts_user_add")
    assert "Places of a loader" in browser.get(add).content.decode()

    answer = browser.post(add, new_user(**{"loads_at-0-hub": hub.pk}))

    assert answer.status_code == 302, answer.content.decode()
    esi = User.objects.get(username="esi")
    assert (esi.role, esi.is_staff, Loader.objects.get().user) == (Role.LOADER, False, esi)
    page = reverse("admin:accounts_user_change", args=[esi.pk])
    assert hub.name in browser.get(page).content.decode()


def test_a_loader_needs_a_hub_and_other_roles_have_none(hub: Hub) -> None:
    browser = browser_of(UserFactory(admin=True))
    add = reverse("admin:accounts_user_add")
    answer = browser.post(add, new_user())
    assert "Choose the hub or the store at which the loader works." in answer.content.decode()
    answer = browser.post(add, new_user(role=Role.OPS, **{"loads_at-0-hub": hub.pk}))
    assert "Only the loader role belongs to places." in answer.content.decode()
    assert not User.objects.filter(username="esi").exists()


def test_an_administrator_creates_a_loader_with_a_store(hub: Hub) -> None:
    browser = browser_of(UserFactory(admin=True))
    add, store = reverse("admin:accounts_user_add"), StoreFactory()
    both = {"loads_at-0-hub": hub.pk, "loads_at-0-store": store.pk}
    assert "Choose a hub or a store, not both." in browser.post(add, new_user(**both)).text
    answer = browser.post(add, new_user(**{"loads_at-0-store": store.pk}))
    assert answer.status_code == 302, answer.text
    assert Loader.objects.get().store == store


def test_the_database_allows_one_row_per_loader_and_hub_and_no_loader_key(
    hub: Hub, kofi: User
) -> None:
    with pytest.raises(IntegrityError, match="loader_once_per_hub"), transaction.atomic():
        Loader.objects.create(user=kofi, hub=hub)
    with pytest.raises(IntegrityError, match="loader_at_one_place"), transaction.atomic():
        Loader.objects.create(user=kofi)
    with pytest.raises(IntegrityError, match="apikey_is_no_loader"), transaction.atomic():
        ApiKey.issue(name="till 3", role=Role.LOADER)
