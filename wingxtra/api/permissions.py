"""Who may make a call. A view that names none of these can be called by nobody."""

from typing import Any

from rest_framework.permissions import BasePermission
from rest_framework.request import Request

from wingxtra.accounts.identity import STAFF_ROLES, Role


class NobodyByDefault(BasePermission):
    roles: tuple[Role, ...] = ()
    message = "Your role may not do this."

    def has_permission(self, request: Request, view: Any) -> bool:
        caller: Any = request.user  # a Caller, or None for a stranger
        return caller is not None and caller.role in self.roles


class IsMerchantOrStaff(NobodyByDefault):
    roles = (Role.MERCHANT, *STAFF_ROLES)


class IsMerchantLoaderOrStaff(NobodyByDefault):
    """Which orders a loader may touch says `orders.loading.access`."""

    roles = (Role.MERCHANT, Role.LOADER, *STAFF_ROLES)


class IsLoaderOrStaff(NobodyByDefault):
    """Which orders a loader may touch says `orders.loading.access`."""

    roles = (Role.LOADER, *STAFF_ROLES)


class IsMerchantOrAdmin(NobodyByDefault):
    roles = (Role.MERCHANT, Role.ADMIN)


class IsStaff(NobodyByDefault):
    """OPS and ADMIN."""

    roles = STAFF_ROLES


class IsAdmin(NobodyByDefault):
    roles = (Role.ADMIN,)
