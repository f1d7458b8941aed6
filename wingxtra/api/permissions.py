"""Permissions by role. A view that names none of these refuses every call."""

from typing import Any

from rest_framework.permissions import BasePermission
from rest_framework.request import Request

from wingxtra.accounts.identity import STAFF_ROLES, Role


class DenyByDefault(BasePermission):
    roles: tuple[Role, ...] = ()
    message = "Your role may not do this."

    def has_permission(self, request: Request, view: Any) -> bool:
        caller: Any = request.user  # a Caller, or None without credentials
        return caller is not None and caller.role in self.roles


class IsMerchantOrStaff(DenyByDefault):
    roles = (Role.MERCHANT, *STAFF_ROLES)


class IsMerchantLoaderOrStaff(DenyByDefault):
    """`orders.loading.access` decides which orders a loader may change."""

    roles = (Role.MERCHANT, Role.LOADER, *STAFF_ROLES)


class IsLoaderOrStaff(DenyByDefault):
    """`orders.loading.access` decides which orders a loader may change."""

    roles = (Role.LOADER, *STAFF_ROLES)


class IsMerchantOrAdmin(DenyByDefault):
    roles = (Role.MERCHANT, Role.ADMIN)


class IsStaff(DenyByDefault):
    """OPS and ADMIN."""

    roles = STAFF_ROLES


class IsAdmin(DenyByDefault):
    roles = (Role.ADMIN,)
