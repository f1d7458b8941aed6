"""The read replica: a streaming standby that answers lists, reports, files and `/metrics`.

Off without REPLICA_DATABASE_URL. Code that may show what was true some seconds ago runs inside of
`reading()`; the router (`wingxtra/database/router.py`) sends its reads to the standby. What decides
or changes anything never does: an import contract in pyproject.toml names who must not import this.
"""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

import psycopg
import structlog
from django.conf import settings
from django.db import DEFAULT_DB_ALIAS, connections

log = structlog.get_logger(__name__)

ALIAS = "replica"
MAX_BEHIND_S = 3.0
CHECKED_EVERY_S = 2.0
# A standby that does not answer is asked less often: each time, one request waits for it.
AWAY_FOR_S = 15.0
CONNECT_WITHIN_S = 2
# The longest that a read may differ from the primary; a check may take a while itself.
OLDEST_S = MAX_BEHIND_S + 2 * CHECKED_EVERY_S

_is_reading: ContextVar[bool] = ContextVar("is_reading_the_replica", default=False)


@dataclass(frozen=True, slots=True)
class Standing:
    """What was known of the standby at `at_s` (monotonic). `problem`: why it is not read, or empty.

    `behind_s` is None if it is not known.
    """

    at_s: float
    problem: str
    behind_s: float | None = None

    @property
    def is_due(self) -> bool:
        lasts_s = AWAY_FOR_S if self.behind_s is None else CHECKED_EVERY_S
        return time.monotonic() - self.at_s >= lasts_s

    @property
    def is_usable(self) -> bool:
        return not self.problem and time.monotonic() - self.at_s < 2 * CHECKED_EVERY_S


NEVER_ASKED = Standing(float("-inf"), "It was not asked yet.")
_standing = NEVER_ASKED
_checking = threading.Lock()


@contextmanager
def reading() -> Iterator[bool]:
    """Read from the standby inside, if it is on, answers and is at most MAX_BEHIND_S behind.
    Yields whether it is. In a transaction it never is.
    """
    is_usable = (
        bool(settings.REPLICA_DATABASE_URL)
        and not connections[DEFAULT_DB_ALIAS].in_atomic_block
        and standing().is_usable
    )
    token = _is_reading.set(is_usable)
    try:
        yield is_usable
    finally:
        _is_reading.reset(token)


def is_reading() -> bool:
    return _is_reading.get() and not connections[DEFAULT_DB_ALIAS].in_atomic_block


def standing() -> Standing:
    """What is known of the standby, asked again by one thread at a time when it is due: one
    statement to the primary, and one to the standby.
    """
    if _standing.is_due and _checking.acquire(blocking=False):
        try:
            _note(_asked())
        finally:
            _checking.release()
    return _standing


def failed(error: Exception) -> None:
    """A read from it has failed: leave it alone for AWAY_FOR_S."""
    _note(Standing(time.monotonic(), f"A statement failed: {error}".strip()))


def _note(found: Standing) -> None:
    global _standing
    before, _standing = _standing, found
    if found.problem and (before is NEVER_ASKED or not before.problem):
        log.warning("replica_not_read", problem=found.problem, behind_s=found.behind_s)
    elif before.problem and not found.problem:
        log.info("replica_read", behind_s=found.behind_s)


def _asked() -> Standing:
    """Its distance from the primary, in log and not in time: without writes, the time of the last
    transaction grows old on a standby that has everything.
    """
    at_s = time.monotonic()
    with connections[DEFAULT_DB_ALIAS].cursor() as cursor:
        cursor.execute("SELECT pg_current_wal_flush_lsn()::text, now()")
        written, now = cursor.fetchone()
    wanted = {**connections[ALIAS].get_connection_params(), "connect_timeout": CONNECT_WITHIN_S}
    try:
        with psycopg.connect(**wanted, autocommit=True) as standby:
            is_standby, has_all, replayed_at = standby.execute(
                "SELECT pg_is_in_recovery(), pg_last_wal_replay_lsn() >= %s::pg_lsn,"
                " pg_last_xact_replay_timestamp()",
                [written],
            ).fetchone() or (False, None, None)
    except psycopg.Error as error:
        return Standing(at_s, f"It does not answer: {error}")
    if not is_standby:
        return Standing(at_s, "REPLICA_DATABASE_URL names a server that is no standby.")
    if not has_all and replayed_at is None:
        return Standing(at_s, "It has replayed nothing yet.")
    behind_s = 0.0 if has_all else max(0.0, (now - replayed_at).total_seconds())
    is_late = behind_s > MAX_BEHIND_S
    problem = f"It is {behind_s:.0f} s behind the primary." if is_late else ""
    return Standing(at_s, problem, behind_s)
