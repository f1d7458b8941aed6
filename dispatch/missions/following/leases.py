"""Which follower has a service area: one at a time, for a limited time.

A lease is a row and not a lock of the database session, so it holds behind a PgBouncer. A follower
that dies keeps its area until the lease ends. One that is slow renews it while it works, so a look
of any length ends; if another has taken the area first, it writes nothing more.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from uuid import UUID, uuid4

from django.db import connection, transaction

# Several times what a look takes; flights of a dead follower are not followed for this long.
LEASE_S = 10.0


class Lost(Exception):
    """Another follower has the area now."""


@dataclass(slots=True)
class Lease:
    area_id: UUID
    holder: UUID = field(default_factory=uuid4)
    # Counted from before it was taken or renewed: never later than the database's time.
    since_s: float = field(default_factory=time.monotonic)

    @property
    def is_old(self) -> bool:
        """Half of its time is over: renew it before more work."""
        return time.monotonic() - self.since_s >= LEASE_S / 2

    @contextmanager
    def renewed(self) -> Iterator[None]:
        """A transaction in which no other follower can take the area. The lease's time starts
        again. Raises Lost; a lease that has ended is renewed if no other follower has the area.
        """
        since_s = time.monotonic()
        with transaction.atomic():
            with connection.cursor() as cursor:
                cursor.execute(
                    "UPDATE dispatch_followerlease"
                    " SET ends_at = clock_timestamp() + %s * interval '1 s'"
                    " WHERE service_area_id = %s AND holder = %s",
                    [LEASE_S, self.area_id, self.holder],
                )
                if not cursor.rowcount:
                    raise Lost
            yield
        self.since_s = since_s

    def keep(self) -> None:
        """Renew it if it is old. Raises Lost."""
        if self.is_old:
            with self.renewed():
                pass

    def _take(self) -> bool:
        with connection.cursor() as cursor:
            cursor.execute(
                """
                INSERT INTO dispatch_followerlease AS l (service_area_id, holder, ends_at)
                VALUES (%(area)s, %(holder)s, clock_timestamp() + %(lease_s)s * interval '1 s')
                ON CONFLICT (service_area_id) DO UPDATE
                SET holder = excluded.holder, ends_at = excluded.ends_at
                WHERE l.ends_at <= clock_timestamp()
                RETURNING 1
                """,
                {"area": self.area_id, "holder": self.holder, "lease_s": LEASE_S},
            )
            return cursor.fetchone() is not None

    def _give_back(self) -> None:
        with connection.cursor() as cursor:
            cursor.execute(
                "UPDATE dispatch_followerlease SET ends_at = clock_timestamp()"
                " WHERE service_area_id = %s AND holder = %s",
                [self.area_id, self.holder],
            )


@contextmanager
def held(area_id: UUID) -> Iterator[Lease | None]:
    """The lease of this area, None while another follower has it."""
    lease = Lease(area_id)
    if not lease._take():
        yield None
        return
    try:
        yield lease
    finally:
        lease._give_back()
