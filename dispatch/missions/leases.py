"""Which follower has a service area: one at a time, for a limited time.

A lease is a row and not a lock of the database session, so it holds behind a PgBouncer. A follower
that dies keeps its area until the lease ends. One that was only slow finds that it lost it, and
writes nothing more.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from uuid import UUID, uuid4

from django.db import connection, transaction

from dispatch.models import FollowerLease

# Several times what a look takes; flights of a dead follower are not followed for this long.
LEASE_S = 10.0


class Lost(Exception):
    """Another follower may have the area now."""


@dataclass(frozen=True, slots=True)
class Lease:
    area_id: UUID
    holder: UUID = field(default_factory=uuid4)
    # Counted from before it was taken: it is over here before it is over in the database.
    ends_at_s: float = field(default_factory=lambda: time.monotonic() + LEASE_S)

    def check(self) -> None:
        """Raises Lost when its time is over."""
        if time.monotonic() >= self.ends_at_s:
            raise Lost

    @contextmanager
    def confirmed(self) -> Iterator[None]:
        """A transaction in which no other follower can take the area. Raises Lost."""
        with transaction.atomic():
            row = FollowerLease.objects.select_for_update().filter(
                service_area_id=self.area_id, holder=self.holder
            )
            if row.values_list("pk").first() is None:
                raise Lost
            yield

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
