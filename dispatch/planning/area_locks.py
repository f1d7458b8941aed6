"""One lock per service area: for dispatch runs, and for each choice of a landing hub."""

from collections.abc import Iterable
from uuid import UUID

from wingxtra.database.statements import connection

# The first key of PostgreSQL's two-key advisory locks. The second is the service area.
PLANNER_LOCK = 0x57_58


def wait_for(area_ids: Iterable[UUID]) -> None:
    """Take these locks until the transaction ends; waits for others. Give the ids sorted: a fixed
    order prevents deadlocks.
    """
    connection.rows_of(
        "SELECT pg_advisory_xact_lock(%s, hashtext(area)) FROM unnest(%s::text[]) AS area",
        [PLANNER_LOCK, [str(area_id) for area_id in area_ids]],
    )


def try_to_take(area_id: UUID) -> bool:
    """The same for one area without waiting. Returns False if another has it."""
    ((locked,),) = connection.rows_of(
        "SELECT pg_try_advisory_xact_lock(%s, hashtext(%s))", [PLANNER_LOCK, str(area_id)]
    )
    return bool(locked)
