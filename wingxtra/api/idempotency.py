"""`Idempotency-Key`: a POST that is retried, because its response was lost, is carried out once.

All POSTs use it (`ApiView` calls `once`), and forms that must not be carried out twice. A row of
IdempotencyKey claims the key for the caller, method and path. The response is stored in the row and
replayed for 24 hours. A second request under the same key is refused at once while the first one
runs: it tries an advisory lock of the transaction and never waits.

There are two kinds of views:

- Views with one database transaction (the default). Claim, effect and response commit together or
  not at all. For a refused request only the response is stored.
- Views that call other systems between transactions (`one_transaction = False`). Claim, effects and
  response commit one after another. The row holds the claim for HELD_FOR, longer than such a
  request takes. If the process dies between effect and response, the claim stays without a response
  until then, and after that a retry carries the request out again. So all that such a view calls
  must be idempotent: the verbs of `orders.lifecycle` are, and the bridge recognises an intent by
  its id. A process that was only slow finds its claim taken over, and stores nothing.

A 5xx or 429 is never stored, so a retry runs the request again.

A response may hold a secret that is shown only once (a delivery's code). So it is encrypted with
the client's key and SECRET_KEY, and cannot be read from the database alone. After a change of
SECRET_KEY, a retry looks like another body and is refused; nothing is carried out twice.
"""

import hmac
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache
from hashlib import sha256
from typing import Any

import msgspec
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from django.conf import settings
from django.db import transaction
from django.db.models import QuerySet
from django.http import HttpResponse
from django.utils import timezone
from rest_framework.request import Request

from wingxtra.api.models import IdempotencyKey
from wingxtra.database.statements import connection
from wingxtra.problems import Conflict, FieldProblem, Invalid, Problem

HEADER = "Idempotency-Key"
REPLAYED = "Idempotency-Replayed"
MAX_LENGTH = 255
KEPT_FOR = timedelta(hours=24)
# How long a request in steps keeps its key: more than the timeouts of all that it may ask.
HELD_FOR = timedelta(seconds=60)
NONCE_BYTES = 12


_TAKE = """
WITH lock AS MATERIALIZED (SELECT pg_try_advisory_xact_lock(%(lock)s) AS mine),
taken AS (
    INSERT INTO api_idempotencykey AS k
        (digest, body_digest, created_at, held_until)
    SELECT %(digest)s, %(body)s, %(now)s, %(held_until)s FROM lock WHERE mine
    ON CONFLICT (digest) DO UPDATE
    SET body_digest = excluded.body_digest, created_at = excluded.created_at,
        status = NULL, held_until = excluded.held_until
    WHERE k.created_at < %(expired)s
       OR (k.status IS NULL AND k.body_digest = excluded.body_digest
           AND (k.held_until IS NULL OR k.held_until < %(now)s))
    RETURNING 1
)
SELECT EXISTS (SELECT FROM taken)
"""
_STORE = """
UPDATE api_idempotencykey
SET status = %s, content_type = %s, body = %s, held_until = NULL
WHERE digest = %s AND held_until IS NOT DISTINCT FROM %s
"""


class StillRunning(Conflict):
    retry_after_s = 1

    def __init__(self) -> None:
        super().__init__(
            "idempotency_in_progress",
            "The first request with this Idempotency-Key is still running. Try again shortly.",
        )


class KeyReused(Problem):
    status = 422
    title = "The Idempotency-Key was used before"

    def __init__(self) -> None:
        super().__init__(
            "idempotency_key_reused",
            "This Idempotency-Key came with another body before. Use a new key for a new request.",
        )


def once(
    claim: "Claim", answer: Callable[[], HttpResponse], *, one_transaction: bool
) -> HttpResponse:
    """The stored response to this request, or that of `answer()`, which renders and never raises.

    Raises StillRunning or KeyReused.
    """
    return _in_one_transaction(claim, answer) if one_transaction else _in_steps(claim, answer)


def _in_one_transaction(claim: "Claim", answer: Callable[[], HttpResponse]) -> HttpResponse:
    with transaction.atomic():
        if stored := claim.take():
            return stored
        response = answer()
        if response.status_code < 400:
            claim.store(response)
            return response
        transaction.set_rollback(True)
    if _is_lasting(response):
        with transaction.atomic():
            # The rollback released the lock, so another request may have stored its response first.
            if stored := claim.take():
                return stored
            claim.store(response)
    return response


def _in_steps(claim: "Claim", answer: Callable[[], HttpResponse]) -> HttpResponse:
    held_until = timezone.now() + HELD_FOR
    if stored := claim.take(held_until):
        return stored
    try:
        response = answer()
    except BaseException:
        claim.release(held_until)
        raise
    if _is_lasting(response):
        claim.store(response, held_until)
    else:
        claim.drop(held_until)
    return response


def _is_lasting(response: HttpResponse) -> bool:
    return response.status_code < 500 and response.status_code != 429


@dataclass(frozen=True, slots=True)
class Claim:
    """One request under one key. `digest` names caller, method, path and key."""

    digest: str
    body_digest: str
    seal: ChaCha20Poly1305

    @classmethod
    def of(cls, request: Request, caller_key: str) -> "Claim":
        """The claim of a request with an `Idempotency-Key`. Raises Invalid."""
        key = request.headers[HEADER]
        if not 1 <= len(key) <= MAX_LENGTH:
            message = f"Must have 1 to {MAX_LENGTH} characters, not {len(key)}."
            raise Invalid([FieldProblem(HEADER, "invalid", message)])
        call = [caller_key, str(request.method), request.path]
        return cls.named(call, key, _contents(request))

    @classmethod
    def named(cls, call: list[str], key: str, contents: Any) -> "Claim":
        """call: who asks for what. key: a secret of the caller. contents: the parsed body."""
        secret = hmac.digest(_own_secret(settings.SECRET_KEY), key.encode(), "sha256")
        body_digest = hmac.digest(secret, _encoded(contents), "sha256").hex()
        call = [*call, key]
        return cls(sha256(_encoded(call)).hexdigest(), body_digest, ChaCha20Poly1305(secret))

    @property
    def lock_id(self) -> int:
        return int.from_bytes(bytes.fromhex(self.digest[:16]), signed=True)

    def take(self, held_until: datetime | None = None) -> HttpResponse | None:
        """Claim the key and return None, or return the stored response.

        The claim ends with the transaction, or at `held_until`. One without a response that is not
        held was left by a process that died; only the same request may take it over. Raises as
        `once` does.
        """
        now = timezone.now()
        ((taken,),) = connection.rows_of(
            _TAKE,
            {
                "lock": self.lock_id,
                "digest": self.digest,
                "body": self.body_digest,
                "now": now,
                "held_until": held_until,
                "expired": now - KEPT_FOR,
            },
        )
        return None if taken else self._stored()

    def _stored(self) -> HttpResponse:
        row = IdempotencyKey.objects.filter(pk=self.digest).first()
        if row is not None and row.body_digest != self.body_digest:
            raise KeyReused
        if row is None or row.status is None:
            raise StillRunning
        return HttpResponse(
            self._unsealed(bytes(row.body)),
            status=row.status,
            content_type=row.content_type,
            headers={REPLAYED: "true"},
        )

    def store(self, response: HttpResponse, held_until: datetime | None = None) -> None:
        """Store the response, unless another request has taken the claim over."""
        values = [
            response.status_code,
            response.headers["Content-Type"],
            self._sealed(response.content),
            self.digest,
            held_until,
        ]
        connection.run(_STORE, values)

    def _sealed(self, body: bytes) -> bytes:
        nonce = secrets.token_bytes(NONCE_BYTES)
        return nonce + self.seal.encrypt(nonce, body, self.digest.encode())

    def _unsealed(self, stored: bytes) -> bytes:
        nonce, sealed = stored[:NONCE_BYTES], stored[NONCE_BYTES:]
        return self.seal.decrypt(nonce, sealed, self.digest.encode())

    def drop(self, held_until: datetime) -> None:
        self._held(held_until).delete()

    def release(self, held_until: datetime) -> None:
        """Let the same request take the claim over at once."""
        self._held(held_until).update(held_until=None)

    def _held(self, held_until: datetime) -> QuerySet[IdempotencyKey]:
        return IdempotencyKey.objects.filter(pk=self.digest, held_until=held_until)


def _contents(request: Request) -> Any:
    """The parsed body: the raw bytes of a form differ at each retry by their boundary."""
    data = request.data
    if not hasattr(data, "lists"):
        return data
    files = {name: [_file_digest(f) for f in found] for name, found in request.FILES.lists()}
    return [{name: found for name, found in data.lists() if name not in files}, files]


def _file_digest(file: Any) -> str:
    digest = sha256()
    for chunk in file.chunks():
        digest.update(chunk)
    file.seek(0)
    return digest.hexdigest()


@cache
def _own_secret(secret_key: str) -> bytes:
    """The secret that Django's `salted_hmac` would derive anew at each call."""
    return sha256(f"idempotency{secret_key}".encode()).digest()


def _encoded(value: Any) -> bytes:
    return msgspec.json.encode(value, order="deterministic")


def purge(*, at_most: int = 10_000) -> int:
    """Delete claims older than a day. Returns the number of deleted rows."""
    old = IdempotencyKey.objects.filter(created_at__lt=timezone.now() - KEPT_FOR)
    deleted, _ = IdempotencyKey.objects.filter(pk__in=old.values("pk")[:at_most]).delete()
    return deleted
