"""Calls of the demo's users to the API. They wait when they are told to, and ask again when an
answer is late.
"""

import time
from itertools import count
from typing import Any
from uuid import uuid4

import requests

from fleet.simulator.reporter import asked_to_wait_s

TIMEOUT_S = 10.0
TRIES = 6
LONGEST_WAIT_S = 60.0
# Besides every 429 and 5xx: the first try of the same request is still being answered.
IN_PROGRESS = "idempotency_in_progress"


class DemoFailed(Exception):
    """The API gave an unexpected answer or none; the message contains it."""


class Calls:
    """A session that repeats a call, up to TRIES times in all. A repeated POST has the same
    `Idempotency-Key`, so it takes effect once.
    """

    def __init__(self, base_url: str, *, timeout_s: float = TIMEOUT_S) -> None:
        self._base_url, self._timeout_s = base_url, timeout_s
        self._http = requests.Session()

    def __call__(
        self, verb: str, path: str, key: str | None = None, **options: Any
    ) -> requests.Response:
        """The last answer. `key`: an API key. Raises DemoFailed when none came."""
        headers = {"X-API-Key": key} if key else {}
        if verb == "POST":
            headers["Idempotency-Key"] = str(uuid4())
        options |= {"headers": headers, "timeout": self._timeout_s}
        for tried in count(1):
            try:
                answer = self._http.request(verb, self._base_url + path, **options)
            except (requests.Timeout, requests.ConnectionError) as error:
                if tried == TRIES:
                    said = f"{verb} {path}: no answer to {TRIES} tries: {error}"
                    raise DemoFailed(said) from error
                wait_s = 0.0
            else:
                if tried == TRIES or not _comes_later(answer):
                    break
                wait_s = asked_to_wait_s(answer)
            time.sleep(min(wait_s or 0.25 * 2**tried, LONGEST_WAIT_S))
        return answer


def _comes_later(answer: requests.Response) -> bool:
    return (
        answer.status_code == 429
        or answer.status_code >= 500
        or (answer.status_code == 409 and IN_PROGRESS in answer.text)
    )
