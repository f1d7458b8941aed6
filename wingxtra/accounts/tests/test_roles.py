"""Permissions come from the role alone, and createsuperuser makes an administrator."""

from collections.abc import Iterator
from typing import Any

import pytest
from django.contrib.auth.models import Group, Permission
from django.core.management import call_command
from django.db import DEFAULT_DB_ALIAS, connection, connections
from django.db.migrations.executor import MigrationExecutor
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from wingxtra.accounts.identity import STAFF_ROLES, Role
from wingxtra.accounts.models import User
from wingxtra.accounts.tests.factories import PASSWORD, MerchantFactory, UserFactory, api_client
from wingxtra.console.roles import CONSOLE_ROLES
from wingxtra.tests.test_image import empty_database

pytestmark = pytest.mark.django_db

BEFORE = [("accounts", "0002_customer_page")]
NAME = "wingxtra_former"


def user_of(role: Role, **attributes: Any) -> User:
    merchant = MerchantFactory() if role == Role.MERCHANT else None
    user: User = UserFactory(role=role, merchant=merchant, is_staff=True, **attributes)
    return user


def group_permissions(role: Role) -> set[str]:
    found = Permission.objects.filter(group__name=role).select_related("content_type")
    return {f"{permission.content_type.app_label}.{permission.codename}" for permission in found}


@pytest.mark.parametrize("role", Role)
def test_permissions_are_exactly_those_of_the_roles_group(role: Role) -> None:
    user = user_of(role)
    user.groups.set(Group.objects.all())
    user.user_permissions.set(Permission.objects.all())

    user = User.objects.get(pk=user.pk)

    assert user.get_all_permissions() == group_permissions(role)
    everything = {
        f"{permission.content_type.app_label}.{permission.codename}"
        for permission in Permission.objects.select_related("content_type")
    }
    may = {permission for permission in everything if user.has_perm(permission)}
    assert may == group_permissions(role)
    assert user.has_module_perms("accounts") == (role in CONSOLE_ROLES)
    assert (may == everything) == (role == Role.ADMIN)


@pytest.mark.parametrize("role", Role)
def test_no_user_can_be_made_a_superuser(role: Role) -> None:
    user = user_of(role)
    assert user.is_superuser is False
    with pytest.raises(AttributeError):
        user.is_superuser = True  # type: ignore[misc]
    with pytest.raises(AttributeError):
        User.objects.create_user("kofi", role=Role.READONLY, is_superuser=True)
    assert "is_superuser" not in {field.name for field in User._meta.get_fields()}


def test_createsuperuser_makes_an_administrator(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DJANGO_SUPERUSER_PASSWORD", PASSWORD)
    call_command(
        "createsuperuser", username="boss", email="boss@delivery.example", interactive=False
    )

    boss = User.objects.get(username="boss")
    assert (boss.role, boss.is_staff, boss.email) == (Role.ADMIN, True, "boss@delivery.example")
    browser = Client()
    browser.post(reverse("admin:login"), {"username": "boss", "password": PASSWORD})
    assert browser.get(reverse("admin:accounts_user_changelist")).status_code == 200
    assert browser.get(reverse("admin:fleet_policy_change", args=[1])).status_code == 200


@pytest.mark.parametrize("role", Role)
def test_a_token_has_the_permissions_of_the_role(role: Role) -> None:
    user = user_of(role)
    client = api_client()
    pair = client.post("/api/v1/auth/token", {"username": user.username, "password": PASSWORD})
    client.credentials(HTTP_AUTHORIZATION=f"Bearer {pair.json()['access']}")

    may_list = client.get("/api/v1/orders").status_code == 200
    may_dispatch = client.post("/api/v1/dispatch/run", {}, format="json").status_code != 403

    assert may_list == (role in (Role.MERCHANT, *STAFF_ROLES))
    assert may_dispatch == (role in STAFF_ROLES)


# --- former superusers ----------------------------------------------------------------------------


@pytest.fixture
def empty() -> Iterator[None]:
    """A database of its own: not all migrations can be taken back."""
    usual = connections[DEFAULT_DB_ALIAS]
    with empty_database(NAME):
        own = connections.create_connection(DEFAULT_DB_ALIAS)
        options = {**usual.settings_dict["OPTIONS"], "pool": None}  # pools are shared by alias
        own.settings_dict = {**usual.settings_dict, "NAME": NAME, "OPTIONS": options}
        connections[DEFAULT_DB_ALIAS] = own
        yield
        own.close()
        connections[DEFAULT_DB_ALIAS] = usual


def migrated(*before: dict[str, Any]) -> dict[str, User]:
    """Users of the former release with these attributes, after the migration."""
    former = MigrationExecutor(connection)
    former.migrate(BEFORE)
    old = former.loader.project_state(BEFORE).apps.get_model("accounts", "User")
    for attributes in before:
        old.objects.create(**{"is_staff": True, "date_joined": timezone.now(), **attributes})
    call_command("migrate", verbosity=0)
    return {user.username: user for user in User.objects.all()}


def superuser(username: str, role: Role, **attributes: Any) -> dict[str, Any]:
    return {"username": username, "role": role.value, "is_superuser": True, **attributes}


@pytest.mark.usefixtures("empty")
def test_a_superuser_with_the_readonly_role_stays_readonly() -> None:
    eyes = migrated(superuser("eyes", Role.READONLY))["eyes"]

    assert eyes.role == Role.READONLY
    assert eyes.get_all_permissions() == group_permissions(Role.READONLY)
    assert not eyes.has_perm("orders.view_personal_data")
    browser = Client()
    browser.force_login(eyes)
    assert browser.get("/admin/").status_code == 200
    assert browser.get(reverse("admin:accounts_user_changelist")).status_code == 403
    assert browser.get(reverse("admin:accounts_apikey_add")).status_code == 403
    pause = reverse("admin:act", args=["fleet.policy", "pause"]) + "?id=1"
    assert browser.post(pause, {"reason": "Storm."}).status_code == 403
    assert api_client(eyes).get("/api/v1/orders").status_code == 403


@pytest.mark.usefixtures("empty")
def test_the_first_administrator_of_the_former_release_stays_one() -> None:
    users = migrated(
        superuser("boss", Role.OPS),
        superuser("eyes", Role.READONLY),
        {"username": "ama", "role": "OPS"},
    )
    roles = {name: user.role for name, user in users.items()}
    assert roles == {"boss": Role.ADMIN, "eyes": Role.READONLY, "ama": Role.OPS}


@pytest.mark.usefixtures("empty")
def test_with_an_administrator_no_superuser_becomes_one() -> None:
    users = migrated(superuser("boss", Role.ADMIN), superuser("former", Role.OPS))
    assert users["former"].role == Role.OPS
    assert users["former"].get_all_permissions() == group_permissions(Role.OPS)
