"""Who may make a call. A view that names none of these can be called by nobody."""

from typing import Any

from rest_framework.permissions import BasePermission
from rest_framework.request import Request

from wingxtra.accounts.identity import STAFF_ROLES, Role


class NobodyByDefault(BasePermission):
    roles: tuple[Role, ...] = ()
    message = "Your role may not do this."

    def has_permission(self, request: Request, view: Any) -> bool:
        return request.user is not None and request.user.role in self.roles


class IsMerchantOrStaff(NobodyByDefault):
    roles = (Role.MERCHANT, *STAFF_ROLES)


class IsMerchantOrAdmin(NobodyByDefault):
    roles = (Role.MERCHANT, Role.ADMIN)


class IsStaff(NobodyByDefault):
    """OPS and ADMIN."""

    roles = STAFF_ROLES


class IsAdmin(NobodyByDefault):
    roles = (Role.ADMIN,)
