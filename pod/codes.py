"""The one-time code: issued with the order, shown once, stored as a keyed hash, five tries.

Every change of a code's row happens under the order's row lock, so that concurrent tries cannot
exceed the limit: `lifecycle.confirm` holds it around `judge`; `unlock` and `renew` take it through
`lifecycle.amend`.
"""

import re
import secrets
from collections.abc import Sequence
from typing import Any
from uuid import UUID

from django.utils import timezone
from django.utils.crypto import constant_time_compare, salted_hmac

from orders import lifecycle
from orders.models import DeliveryEvent, Order
from orders.states import EventType, Happened, PodRequirement, Scenario
from pod.models import OneTimeCode
from wingxtra.accounts.identity import Actor
from wingxtra.database import bulk
from wingxtra.database.statements import Statement
from wingxtra.problems import Conflict, FieldProblem, Invalid, Problem

DIGITS = 6
# Test orders whose first code is refused, right or wrong.
REFUSING_SCENARIOS = (Scenario.WRONG_OTP, Scenario.CODE_LOCKED)


class WrongCode(Problem):
    """The code is not the order's. The try was counted; `tries_left` remain."""

    title = "The code is not right"

    def __init__(self, tries_left: int) -> None:
        left = {0: "It is locked now; our staff can unlock it.", 1: "One try is left."}.get(
            tries_left, f"{tries_left} tries are left."
        )
        super().__init__("wrong_code", f"This code is not right. {left}", tries_left=tries_left)

    @property
    def happened(self) -> Happened:
        return Happened(EventType.CODE_REFUSED, "A wrong code was entered.", dict(self.extra))


def issue_codes(events: Sequence[DeliveryEvent], **_signal: Any) -> None:
    """Receiver of `lifecycle.recorded`: creates the code of a new order that needs one.

    The code itself is set on the order object as `otp_code` for the answer, and never stored.
    """
    codes = []
    for event in events:
        order = event.order
        if event.type == EventType.CREATED and order.pod_requirement == PodRequirement.OTP:
            order.otp_code = new_code()
            codes.append(OneTimeCode(order=order, digest=digest_of(order.pk, order.otp_code)))
    bulk.insert(codes)


# Compiled once: a stranger may ask.
_CODE = Statement(
    lambda order_id: OneTimeCode.objects.filter(pk=order_id).order_by(), order_id=UUID
)


def judge(order: Order, code: str) -> WrongCode | None:
    """Compare a code with the order's, whose row lock the caller holds; None when it is right.

    A wrong code is counted, and the refusal is returned, not raised: the caller must commit the
    count before it raises. Raises Invalid (not six digits: not a try) and Conflict (no code was
    issued, or it is locked).
    """
    digits = _digits_of(code)
    row = _CODE.first(order_id=order.pk)
    if row is None:
        raise Conflict(
            "no_code", "No one-time code was issued for this order.", current_status=order.status
        )
    if row.is_locked:
        raise Conflict(
            "code_locked",
            f"The code was wrong {row.MAX_TRIES} times and is locked. Our staff can unlock it.",
            current_status=order.status,
            tries_left=0,
        )
    refused_as_a_test = order.test_scenario in REFUSING_SCENARIOS and row.tries == 0
    if is_right(row, digits) and not refused_as_a_test:
        return None
    row.tries = row.MAX_TRIES if order.test_scenario == Scenario.CODE_LOCKED else row.tries + 1
    row.save(update_fields=["tries"])
    return WrongCode(row.tries_left)


def unlock(order_id: UUID, *, by: Actor) -> None:
    """Give the recipient five new tries with the same code. Without wrong tries: no change."""

    def reset_tries(order: Order) -> Happened | None:
        row = _row_of(order)
        if row.tries == 0:
            return None
        row.tries = 0
        row.save(update_fields=["tries"])
        return Happened(EventType.DETAILS_CHANGED, "The one-time code was unlocked.")

    lifecycle.amend(order_id, by=by, happened=reset_tries)


def renew(order_id: UUID, *, by: Actor) -> str:
    """Replace a lost code; returns the new one, which cannot be read again."""
    code = new_code()

    def replace(order: Order) -> Happened:
        row = _row_of(order)
        row.digest, row.tries, row.issued_at = digest_of(order.pk, code), 0, timezone.now()
        row.save()
        order.otp_code = code
        return Happened(EventType.DETAILS_CHANGED, "A new one-time code was issued.")

    lifecycle.amend(order_id, by=by, happened=replace)
    return code


def new_code() -> str:
    return f"{secrets.randbelow(10**DIGITS):0{DIGITS}d}"


def digest_of(order_id: UUID, code: str) -> str:
    """HMAC-SHA256 under SECRET_KEY: a plain hash of a million codes is quickly brute-forced."""
    return salted_hmac("pod.one_time_code", f"{order_id}:{code}", algorithm="sha256").hexdigest()


def is_right(row: OneTimeCode, digits: str) -> bool:
    return constant_time_compare(row.digest, digest_of(row.pk, digits))


def _row_of(order: Order) -> OneTimeCode:
    row = _CODE.first(order_id=order.pk)
    if row is None:
        raise Conflict(
            "no_code", "No one-time code was issued for this order.", current_status=order.status
        )
    return row


def _digits_of(code: str) -> str:
    """The digits without blanks and hyphens, since people group them. Raises Invalid."""
    digits = re.sub(r"[\s-]", "", code)
    if not re.fullmatch(rf"[0-9]{{{DIGITS}}}", digits):
        raise Invalid([FieldProblem("otp_code", "invalid", f"The code is {DIGITS} digits.")])
    return digits
