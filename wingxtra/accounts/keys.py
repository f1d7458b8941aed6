"""API keys of merchants: made by their own users, and revoked by them or by an administrator."""

from datetime import datetime

from django.utils import timezone

from wingxtra.accounts import authentication
from wingxtra.accounts.identity import Role
from wingxtra.accounts.models import ApiKey, Merchant, User
from wingxtra.console import actions
from wingxtra.problems import Conflict

MAX_PER_MODE = 25


def make_own(
    by: User, *, name: str, live_mode: bool, expires_at: datetime | None = None
) -> tuple[ApiKey, str]:
    """A user of a merchant makes a key for it. Returns the row and the key, which cannot be read
    again later.

    Raises Conflict: live keys need an administrator's leave, and MAX_PER_MODE keys are enough.
    """
    merchant = Merchant.objects.get(user=by)
    if why := why_none(merchant, live_mode=live_mode):
        raise why
    row, key = ApiKey.issue(
        name=name,
        role=Role.MERCHANT,
        merchant=merchant,
        live_mode=live_mode,
        expires_at=expires_at,
    )
    actions.log(by, row, "Made on the merchant's page.")
    return row, key


def why_none(merchant: Merchant, *, live_mode: bool) -> Conflict | None:
    """Why the merchant's users can make no key now; None if they can."""
    if live_mode and not merchant.live_keys_allowed:
        detail = "Live keys are made by us, or by you once we have allowed it. Please ask us."
        return Conflict("live_keys_not_allowed", detail)
    usable = ApiKey.objects.usable(timezone.now()).filter(merchant=merchant, live_mode=live_mode)
    if usable.count() >= MAX_PER_MODE:
        detail = f"There are {MAX_PER_MODE} keys already. Revoke one that is not needed."
        return Conflict("too_many_keys", detail)
    return None


def revoke(key: ApiKey) -> None:
    """End a key at once, for good. Raises Conflict for one that is revoked."""
    if not ApiKey.objects.filter(pk=key.pk, revoked_at=None).update(revoked_at=timezone.now()):
        raise Conflict("already_revoked", f"The key “{key.name}” is revoked already.")
    authentication.VERSION.bump()
