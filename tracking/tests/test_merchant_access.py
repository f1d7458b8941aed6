"""`/merchant/`: who may open which page. The table of pages is the URL configuration itself, so a
new page fails here until `ARGUMENTS` says how to address it.
"""

from collections.abc import Callable, Iterator
from datetime import date, time
from typing import Any

import pytest
from django.test import Client
from django.urls import URLResolver, get_resolver, reverse

from fleet.tests.factories import DroneFactory
from orders.files import imports
from orders.recurring import verbs
from orders.tests.factories import OrderFactory, StoreFactory
from orders.tests.test_api import body
from tracking.merchant import urls
from tracking.merchant.access import PageCaller
from tracking.tests.receiver import WebhookFactory
from tracking.webhooks import endpoints
from wingxtra.accounts.identity import Role
from wingxtra.accounts.models import ApiKey, Merchant, User
from wingxtra.accounts.tests.factories import PASSWORD, MerchantFactory, UserFactory
from wingxtra.opening_hours import WEEKDAYS

pytestmark = pytest.mark.django_db


def order_of(merchant: Merchant, live: bool) -> list[Any]:
    return [OrderFactory(merchant=merchant, live_mode=live).pk]


def store_of(merchant: Merchant, live: bool) -> list[Any]:
    return [StoreFactory(merchant=merchant, live_mode=live).pk]


def recurring_of(merchant: Merchant, live: bool) -> list[Any]:
    DroneFactory()
    values = {"name": "Round", "order": body(), "weekdays": list(WEEKDAYS)}
    times = {"local_time": time(7, 30), "starts_on": date(2026, 1, 1)}
    return [verbs.create(merchant.pk, {**values, **times}, live_mode=live).pk]


def key_of(merchant: Merchant, live: bool) -> list[Any]:
    key, _ = ApiKey.issue(name="till", role=Role.MERCHANT, merchant=merchant, live_mode=live)
    return [key.pk]


def import_of(merchant: Merchant, live: bool) -> list[Any]:
    caller = PageCaller(merchant.user_set.first() or user_of(merchant), merchant, live)
    return [imports.keep("orders.csv", b"external_id\nA-1", caller)]


def webhook_of(merchant: Merchant, live: bool) -> list[Any]:
    return [WebhookFactory(merchant=merchant, live_mode=live).pk]


def delivery_of(merchant: Merchant, live: bool) -> list[Any]:
    return [endpoints.make_test(WebhookFactory(merchant=merchant, live_mode=live)).pk]


# How to address each page that is about one thing: makes the thing for a merchant in a mode, and
# returns the arguments of its address. A page that is about no single thing has none.
ARGUMENTS: dict[str, Callable[[Merchant, bool], list[Any]] | None] = {
    "orders": None,
    "new-order": None,
    "order": order_of,
    "order-label": order_of,
    "order-record": order_of,
    "renew-link": order_of,
    "export-orders": None,
    "import-orders": None,
    "import-template": None,
    "import-preview": import_of,
    "recurring-orders": None,
    "new-recurring-order": None,
    "recurring-order": recurring_of,
    "change-recurring-order": recurring_of,
    "remove-recurring-order": recurring_of,
    "stores": None,
    "new-store": None,
    "store": store_of,
    "remove-store": store_of,
    "keys": None,
    "revoke-key": key_of,
    "webhooks": None,
    "new-webhook": None,
    "webhook": webhook_of,
    "rotate-webhook": webhook_of,
    "remove-webhook": webhook_of,
    "webhook-delivery": delivery_of,
}
MODES = {"merchant": True, "merchant-test": False}

names = [page.name for page in urls.pages]
about_one_thing = [name for name in names if ARGUMENTS.get(name)]
in_each_mode = pytest.mark.parametrize("mode", MODES)


def user_of(merchant: Merchant | None = None) -> User:
    return UserFactory(merchant=merchant or MerchantFactory())


def client_of(user: User) -> Client:
    client = Client()
    client.force_login(user, backend="wingxtra.console.roles.RoleBackend")
    return client


def address(mode: str, name: str, merchant: Merchant) -> str:
    make = ARGUMENTS[name]
    args = make(merchant, MODES[mode]) if make else []
    return reverse(f"merchant:{name}", args=args, current_app=mode)


def test_the_table_names_every_page():
    assert sorted(ARGUMENTS) == sorted(names)


def test_no_address_below_merchant_is_beside_the_table():
    outside = {"merchant/login/", "merchant/logout/", "merchant/password/"}
    below = {each for each in all_addresses(get_resolver()) if each.startswith("merchant")}
    inside = {f"merchant/{mode}{page.pattern}" for page in urls.pages for mode in ("", "test/")}
    assert below == outside | inside


def all_addresses(resolver: URLResolver, start: str = "") -> Iterator[str]:
    for each in resolver.url_patterns:
        if isinstance(each, URLResolver):
            yield from all_addresses(each, start + str(each.pattern))
        else:
            yield start + str(each.pattern)


@in_each_mode
@pytest.mark.parametrize("name", names)
def test_without_login_a_page_leads_to_the_login_and_back(mode, name):
    path = address(mode, name, MerchantFactory())
    for method in ("get", "post"):
        answer = getattr(Client(), method)(path)
        if answer.status_code != 405:
            assert answer.status_code == 302
            assert answer["Location"] == f"/merchant/login/?next={path}"


@in_each_mode
@pytest.mark.parametrize("name", names)
@pytest.mark.parametrize(
    ("role", "link"),
    [
        (Role.LOADER, "/load/"),
        (Role.OPS, "/admin/"),
        (Role.ADMIN, "/admin/"),
        (Role.READONLY, "/admin/"),
    ],
)
def test_other_roles_are_told_where_their_page_is(mode, name, role, link):
    client = client_of(UserFactory(role=role))
    path = address(mode, name, MerchantFactory())
    for method in ("get", "post"):
        answer = getattr(client, method)(path)
        if answer.status_code != 405:
            assert answer.status_code == 403
            assert f'href="{link}"' in answer.content.decode()


@in_each_mode
@pytest.mark.parametrize("name", about_one_thing)
def test_a_thing_of_another_merchant_or_of_the_other_mode_is_a_404(mode, name):
    mine, other = MerchantFactory(), MerchantFactory()
    client = client_of(user_of(mine))
    make = ARGUMENTS[name]
    assert make is not None
    own = make(mine, MODES[mode])
    for args in (make(other, MODES[mode]), make(mine, not MODES[mode])):
        path = reverse(f"merchant:{name}", args=args, current_app=mode)
        statuses = {getattr(client, method)(path).status_code for method in ("get", "post")}
        assert statuses <= {404, 405}
        assert 404 in statuses
    path = reverse(f"merchant:{name}", args=own, current_app=mode)
    statuses = {getattr(client, method)(path).status_code for method in ("get", "post")}
    assert 404 not in statuses


@in_each_mode
@pytest.mark.parametrize("name", names)
def test_no_page_is_stored_and_none_runs_scripts_of_others(mode, name):
    mine = MerchantFactory()
    answer = client_of(user_of(mine)).get(address(mode, name, mine))
    assert "no-store" in answer["Cache-Control"]
    policy = answer["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    content = b"".join(answer).decode()  # a file is a stream
    assert " style=" not in content
    assert "<script>" not in content


@pytest.mark.parametrize("path", ["/admin/", "/admin/orders/order/", "/load/"])
def test_a_merchants_user_never_enters_the_console_or_the_loaders_page(path):
    answer = client_of(user_of()).get(path)
    assert answer.status_code in (302, 403)
    if answer.status_code == 302:
        assert answer["Location"].startswith("/admin/login/")


# --- login ---------------------------------------------------------------------------------------


def log_in(client: Client, username: str, password: str = PASSWORD, **query: str) -> Any:
    form = {"username": username, "password": password, **query}
    return client.post(reverse("merchant-login"), form)


def test_login_leads_to_the_orders_or_to_the_page_that_was_asked_for():
    user = user_of()
    assert log_in(Client(), user.username)["Location"] == "/merchant/"
    back = log_in(Client(), user.username, next="/merchant/test/")
    assert back["Location"] == "/merchant/test/"
    away = log_in(Client(), user.username, next="https://elsewhere.example/")
    assert away["Location"] == "/merchant/"


def test_the_login_is_for_merchants_only():
    for user, link in ((UserFactory(admin=True), "/admin/"), (UserFactory(loader=True), "/load/")):
        client = Client()
        answer = log_in(client, user.username)
        assert answer.status_code == 200
        assert f"Please log in at {link}" in answer.content.decode()
        assert "sessionid" not in client.cookies


def test_a_merchant_that_was_switched_off_is_out_at_once():
    user = user_of()
    client = client_of(user)
    assert client.get("/merchant/").status_code == 200
    Merchant.objects.update(active=False)
    assert client.get("/merchant/")["Location"].startswith("/merchant/login/")
    assert "switched off" in log_in(Client(), user.username).content.decode()


def test_too_many_wrong_passwords_say_so_on_the_page(settings):
    user = user_of()
    for _ in range(settings.AXES_FAILURE_LIMIT - 1):
        wrong = log_in(Client(), user.username, "wrong")
        assert wrong.status_code == 200
        assert "do not match" in wrong.content.decode()
    for password in ("wrong", PASSWORD):
        locked = log_in(Client(), user.username, password)
        assert locked.status_code == 429
        assert locked["Retry-After"] == "600"
        content = locked.content.decode()
        assert "Too many wrong passwords. Try again in 10 minutes." in content
        assert "do not match" not in content
        assert "<form" in content


def test_logout_needs_a_post_and_ends_the_session():
    client = client_of(user_of())
    assert client.get(reverse("merchant-logout")).status_code == 405
    assert client.post(reverse("merchant-logout"))["Location"] == "/merchant/login/"
    assert client.get("/merchant/").status_code == 302


def test_the_password_can_be_changed_and_the_session_goes_on():
    user = user_of()
    client = client_of(user)
    path = reverse("merchant-password")
    new = "four random words here"
    form = {"old_password": PASSWORD, "new_password1": new, "new_password2": "another"}
    assert "match" in client.post(path, form).content.decode()
    wrong = {**form, "old_password": "not the present one", "new_password2": new}
    assert "incorrect" in client.post(path, wrong).content.decode()
    answer = client.post(path, {**form, "new_password2": new}, follow=True)
    assert answer.redirect_chain == [("/merchant/", 302)]
    assert "Your password was changed." in answer.content.decode()
    assert log_in(Client(), user.username, new).status_code == 302
    assert Client().get(path)["Location"] == f"/merchant/login/?next={path}"


@pytest.mark.parametrize("mode", MODES)
def test_a_page_says_its_mode_and_its_links_keep_it(mode):
    path = reverse("merchant:orders", current_app=mode)
    content = client_of(user_of()).get(path).content.decode()
    assert ("Test mode." in content) == (mode == "merchant-test")
    for current in ("page", "true"):  # in the navigation, and in the switch
        assert f'<a href="{path}" aria-current="{current}">' in content
