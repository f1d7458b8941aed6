"""Permissions by role, and whose objects a caller makes. A view that names no role refuses every
call.
"""

from typing import Any
from uuid import UUID

from rest_framework.permissions import BasePermission
from rest_framework.request import Request

from wingxtra.accounts.identity import STAFF_ROLES, Caller, Role
from wingxtra.accounts.models import Merchant
from wingxtra.problems import FieldProblem, Invalid


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


class IsStaffOrReadOnly(DenyByDefault):
    """For calls that only read, and answer no data of customers to READONLY."""

    roles = (Role.READONLY, *STAFF_ROLES)


class IsAdmin(DenyByDefault):
    roles = (Role.ADMIN,)


def merchant_for(caller: Caller, named: UUID | None, what: str) -> UUID:
    """Whose a new object is: the caller's own, or that of the merchant that an administrator names.

    what: the object in words, like “webhook”. Raises Invalid.
    """
    if caller.role == Role.MERCHANT and caller.merchant_id is not None:
        if named not in (None, caller.merchant_id):
            raise _problem("not_yours", f"A {what} can only be added for yourself.")
        return caller.merchant_id
    if named is None:
        raise _problem("required", f"Name the merchant that the {what} is for.")
    if not Merchant.objects.filter(pk=named, active=True).exists():
        raise _problem("does_not_exist", "There is no such merchant.")
    return named


def _problem(code: str, message: str) -> Invalid:
    return Invalid([FieldProblem("merchant_id", code, message)])
