"""Stamps in Redis: whether what a process remembers of the database is still true.

Whoever remembers something reads the stamp of it first, then the rows, and goes by them (`Kept`) as
long as the stamp stays the same. Whoever changes the rows renews the stamp when that is committed.
"""

import time
import uuid
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

import redis
import structlog
from django.db import models, transaction
from django.db.models.signals import post_delete, post_save

from wingxtra import redis_client

log = structlog.get_logger(__name__)

UNSETTLED = b"unsettled"
# A change may not get announced. No longer than this is anything believed without reading it again.
BELIEVED_S = 10.0

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Kept(Generic[T]):
    """What was read when the stamp was `stamp`."""

    value: T
    stamp: bytes
    read_at_s: float = field(default_factory=time.monotonic)

    def is_true(self, stamp: bytes | None) -> bool:
        """Whether it may be believed, the stamp being `stamp` now."""
        return stamp == self.stamp and time.monotonic() - self.read_at_s < BELIEVED_S


@dataclass(frozen=True, slots=True)
class Stamp:
    """Stands in Redis under `name`, for all processes."""

    name: str

    def now(self) -> bytes | None:
        """None while a change is not settled, or Redis is away: then no memory is true."""
        try:
            stamp = redis_client.ask(self._read)
        except redis_client.Away:
            return None
        return None if stamp == UNSETTLED else stamp

    def _read(self, client: redis.Redis) -> bytes | None:
        stamp: Any = client.get(self.name)
        if stamp is None:
            client.set(self.name, uuid.uuid4().bytes, nx=True)
            stamp = client.get(self.name)
        return stamp

    def renew_with(self, *written: type[models.Model]) -> None:
        """Renew it whenever rows of these models are saved or deleted, one by one.

        `QuerySet.update()` sends no signal: whoever calls it calls `renew` as well.
        """
        for model in written:
            for signal in (post_save, post_delete):
                # Not weakly: nobody else holds the method.
                signal.connect(self.renew, sender=model, dispatch_uid=self.name, weak=False)

    def renew(self, **_signal: Any) -> None:
        """Something was changed in this transaction: nobody goes by what it was.

        Until it is committed, whoever asks reads the database and keeps nothing, because this
        transaction sees what may never come true. If it never does, that ends by itself.
        """
        self._set(UNSETTLED, for_s=BELIEVED_S)
        transaction.on_commit(lambda: self._set(uuid.uuid4().bytes))

    def _set(self, stamp: bytes, for_s: float | None = None) -> None:
        try:
            redis_client.client().set(
                self.name, stamp, px=None if for_s is None else int(1000 * for_s)
            )
        except redis.RedisError as error:
            log.warning("stamp_not_renewed", stamp=self.name, error=str(error), for_s=BELIEVED_S)
