"""One lock per service area: for dispatch runs, and for each choice of a landing hub."""

from collections.abc import Iterable
from uuid import UUID

from django.db import connection

# The first key of PostgreSQL's two-key advisory locks. The second is the service area.
PLANNER_LOCK = 0x57_58


def wait_for(area_ids: Iterable[UUID]) -> None:
    """Take these locks until the transaction ends; waits for others. Give the ids sorted: a fixed
    order prevents deadlocks.
    """
    with connection.cursor() as cursor:
        for area_id in area_ids:
            cursor.execute(
                "SELECT pg_advisory_xact_lock(%s, hashtext(%s))", [PLANNER_LOCK, str(area_id)]
            )


def try_to_take(area_id: UUID) -> bool:
    """The same for one area without waiting. Returns False if another has it."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT pg_try_advisory_xact_lock(%s, hashtext(%s))", [PLANNER_LOCK, str(area_id)]
        )
        (locked,) = cursor.fetchone()
    return bool(locked)
