"""The console's actions on API keys and users."""

from typing import Any

from wingxtra.accounts import keys
from wingxtra.accounts.models import ApiKey, User
from wingxtra.console import actions, roles
from wingxtra.console.entry import second_factor
from wingxtra.problems import Conflict

roles.seen_by_all("accounts.view_merchant")


def _revoke(key: ApiKey, data: dict[str, Any], user: Any) -> str:
    keys.revoke(key)
    return f"The key “{key.name}” was revoked: {data['reason']}"


actions.register(
    actions.Action(
        model=ApiKey,
        name="revoke",
        label="Revoke",
        permission="accounts.change_apikey",
        form=actions.ReasonForm,
        carry_out=_revoke,
        why_not=lambda key: "This key is revoked already." if key.revoked_at else None,
        explanation="All clients that use this key are locked out at once. It cannot be undone.",
        is_grave=True,
    )
)


def _reset_second_factor(user: User, data: dict[str, Any], by: Any) -> str:
    if not second_factor.reset(user):
        raise Conflict("nothing_to_reset", f"{user} has set up no authenticator app.")
    return f"{user} sets up a new authenticator app at the next log-in: {data['reason']}"


actions.register(
    actions.Action(
        model=User,
        name="reset-second-factor",
        label="Reset the second factor",
        permission="accounts.change_user",
        form=actions.ReasonForm,
        carry_out=_reset_second_factor,
        why_not=lambda user: (
            None if second_factor.is_set_up(user) else "No authenticator app is set up."
        ),
        explanation="For a lost phone. Verify that the request comes from this user.",
        is_grave=True,
    )
)
