"""Console permissions of a role: Django's permissions, in a group named like the role.

Every migrate writes the groups from what the apps declare here. ADMIN has all permissions.
"""

from typing import Any

from django.apps import AppConfig, apps
from django.conf import settings
from django.contrib.auth.models import Group, Permission
from django.db.models import QuerySet

from wingxtra.accounts.identity import Role
from wingxtra.accounts.lockout import GuardedBackend
from wingxtra.accounts.models import User

CONSOLE_ROLES = (Role.READONLY, Role.OPS, Role.ADMIN)

_seen_by_all: set[str] = {"console.view_bulkaction"}
_done_by_ops: set[str] = {"console.add_acknowledgement", "console.add_savedfilter"}


def seen_by_all(*permissions: str) -> None:
    """All console roles have these permissions (`app.codename`)."""
    _seen_by_all.update(permissions)


def done_by_ops(*permissions: str) -> None:
    """OPS and ADMIN have these permissions."""
    _done_by_ops.update(permissions)


class RoleBackend(GuardedBackend):
    """A user has the permissions of the group named like the user's role, and no others."""

    def user_can_authenticate(self, user: Any) -> bool:
        """Passwords of console staff can be switched off; their sessions by password then end."""
        is_allowed = settings.STAFF_PASSWORD_LOGIN or user.role not in CONSOLE_ROLES
        return is_allowed and super().user_can_authenticate(user)

    def _get_user_permissions(self, user_obj: User) -> QuerySet[Permission]:
        return Permission.objects.none()

    def _get_group_permissions(self, user_obj: User) -> QuerySet[Permission]:
        return Permission.objects.filter(group__name=user_obj.role)


def seed_groups(sender: AppConfig, **_: Any) -> None:
    """Receiver of post_migrate: assigns permissions to roles once all apps have theirs."""
    with_models = [config for config in apps.get_app_configs() if config.models_module]
    if sender is not with_models[-1]:
        return
    everything = list(Permission.objects.select_related("content_type"))
    named = {f"{p.content_type.app_label}.{p.codename}": p for p in everything}
    grants = {
        Role.READONLY: [named[name] for name in _seen_by_all],
        Role.OPS: [named[name] for name in _seen_by_all | _done_by_ops],
        Role.ADMIN: everything,
    }
    for role, permissions in grants.items():
        Group.objects.get_or_create(name=role.value)[0].permissions.set(permissions)
