"""Bulk inserts in as many statements as one row takes.

Django's `bulk_create` builds an expression for every value: COPY takes a fifth to a third of its
time. As with `bulk_create`, no model signals are sent. For bulk updates use `pgbulk.update`.
"""

from collections.abc import Sequence

import pgbulk
from django.db import connection, models

from wingxtra.database import statements

# Up to this many rows use a prepared statement; there is one for each number of rows.
MAX_PREPARED_ROWS = 8


def insert(rows: Sequence[models.Model]) -> None:
    """Insert rows of one model, in the caller's transaction. Sets primary keys from sequences.

    Raises IntegrityError.
    """
    if not rows:
        return
    model = type(rows[0])
    if len(rows) <= MAX_PREPARED_ROWS:
        statements.insert(rows)
    elif isinstance(model._meta.pk, models.AutoField):
        model._base_manager.bulk_create(rows)  # COPY does not return the keys
    else:
        copy(rows)


def copy(rows: Sequence[models.Model]) -> None:
    """Insert by COPY, the fastest for many rows. Primary keys from sequences stay unknown."""
    if not rows:
        return
    # pgbulk does not convert the driver's errors into Django's.
    with connection.wrap_database_errors:
        pgbulk.copy(type(rows[0]), rows)
    for row in rows:
        row._state.adding, row._state.db = False, connection.alias
