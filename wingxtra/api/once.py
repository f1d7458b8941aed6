"""A form that is carried out once: a second click and a reload get the first one's answer."""

import secrets
import time
from collections.abc import Callable
from typing import Any

from django.http import HttpRequest, HttpResponse

from wingxtra.api import idempotency
from wingxtra.problems import Problem

# A second click waits for the answer to the first one.
WAIT_S = 0.2
MAX_WAIT_S = 5.0


class SentBefore(Problem):
    status = 422

    def __init__(self) -> None:
        detail = "This form was sent before, with other values. Look at your orders first."
        super().__init__("form_sent_before", detail)


def new_token() -> str:
    """For the form's field `token`."""
    return secrets.token_urlsafe(24)


def once(
    request: HttpRequest,
    caller_key: str,
    answer: Callable[[], HttpResponse],
    *,
    max_wait_s: float = MAX_WAIT_S,
) -> HttpResponse:
    """The answer to the first request with this form's token, kept for a day under the token.
    caller_key: who sends it.

    Raises SentBefore, and StillRunning when the first one takes longer than `max_wait_s`.
    """
    sent: dict[str, Any] = dict(request.POST.lists())
    sent.pop("csrfmiddlewaretoken", None)
    token = request.POST.get("token", "")
    if not token:
        raise SentBefore
    claim = idempotency.Claim.named([caller_key, "POST", request.path], token, sent)
    give_up_at = time.monotonic() + max_wait_s
    while True:
        try:
            return idempotency.once(claim, answer, one_transaction=True)
        except idempotency.KeyReused as reused:
            raise SentBefore from reused
        except idempotency.StillRunning:
            if time.monotonic() > give_up_at:
                raise
        time.sleep(WAIT_S)
