"""Cache versions in Redis: they show whether rows cached by a process are stale.

A reader reads the version first, then the rows, and uses the cached rows (`Cached`) as long as the
version stays the same. A writer bumps the version when its transaction commits.
"""

import time
import uuid
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Generic, TypeVar

import redis
import structlog
from django.db import models, transaction
from django.db.models.signals import post_delete, post_save

from wingxtra import redis_client
from wingxtra.database import replica

log = structlog.get_logger(__name__)

UNCOMMITTED = b"unsettled"
# A change may not get announced (Redis down, a process killed), so nothing is cached for longer.
MAX_AGE_S = 10.0

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Cached(Generic[T]):
    """A value that was read under `version`."""

    value: T
    version: bytes
    read_at_s: float = field(default_factory=time.monotonic)

    def is_fresh(self, version: bytes | None) -> bool:
        """Whether the value may be used. `version`: the current one."""
        return version == self.version and time.monotonic() - self.read_at_s < MAX_AGE_S


@dataclass(frozen=True, slots=True)
class CacheVersion:
    """A version in Redis under the key `name`, shared by all processes."""

    name: str

    def current(self) -> bytes | None:
        """None while a change is not committed, Redis is down, or the replica is read: then nothing
        may be cached.
        """
        if replica.is_reading():
            return None
        try:
            version = redis_client.read("GET", self.name) or redis_client.ask(self._first)
        except redis_client.Away:
            return None
        return None if version == UNCOMMITTED else version

    def read_ahead(self, trip: redis_client.RoundTrip) -> None:
        """Read it on this round trip, for the next `current` in this web request."""
        redis_client.read_ahead(trip, "GET", self.name)

    def _first(self, client: redis.Redis) -> bytes | None:
        client.set(self.name, uuid.uuid4().bytes, nx=True)
        version: Any = client.get(self.name)
        return version

    def bump_on_write(self, *written: type[models.Model]) -> None:
        """Bump the version when a row of these models is saved or deleted.

        `QuerySet.update()` sends no signal: its caller calls `bump`.
        """
        for model in written:
            for signal in (post_save, post_delete):
                # Django's weak reference would be the only one to the bound method.
                signal.connect(self.bump, sender=model, dispatch_uid=self.name, weak=False)

    def bump(self, **_signal: Any) -> None:
        """Call it in the transaction that changes the rows.

        Until the commit, readers use the database and cache nothing, because this transaction's
        own reads may be rolled back. After a rollback that mark expires by itself.
        """
        self._set(UNCOMMITTED, for_s=MAX_AGE_S)
        transaction.on_commit(lambda: self._set(uuid.uuid4().bytes))

    def _set(self, version: bytes, for_s: float | None = None) -> None:
        try:
            redis_client.ask(partial(self._write, version, for_s))
        except redis_client.Away as error:
            log.warning(
                "cache_version_not_bumped", key=self.name, error=str(error), for_s=MAX_AGE_S
            )

    def _write(self, version: bytes, for_s: float | None, client: redis.Redis) -> None:
        try:
            client.set(self.name, version, px=None if for_s is None else int(1000 * for_s))
        except redis.OutOfMemoryError:
            # A full Redis still deletes, and without a version nothing is cached.
            client.delete(self.name)
