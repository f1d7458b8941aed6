"""Many new rows at once, in as many statements as one row takes.

Django's `bulk_create` builds an expression for every value: COPY takes a fifth to a third of its
time. Signals of models are not sent, as with that one. Many rows are changed by `pgbulk.update`.
"""

from collections.abc import Sequence

import pgbulk
from django.db import connection, models

from wingxtra.database import statements

# So few go by one prepared statement, of which there is one for each number of rows.
FEW = 8


def insert(rows: Sequence[models.Model]) -> None:
    """Write new rows of one model. Keys that the database counts are set on the rows.

    Raises IntegrityError like any insert. Inside the caller's transaction.
    """
    if not rows:
        return
    model = type(rows[0])
    if len(rows) <= FEW:
        statements.insert(rows)
    elif isinstance(model._meta.pk, models.AutoField):
        model._base_manager.bulk_create(rows)  # COPY does not tell the keys
    else:
        copy(rows)


def copy(rows: Sequence[models.Model]) -> None:
    """The same by COPY: the fastest for many, but keys that the database counts stay unknown."""
    if not rows:
        return
    # pgbulk lets the driver's own errors through.
    with connection.wrap_database_errors:
        pgbulk.copy(type(rows[0]), rows)
    for row in rows:
        row._state.adding, row._state.db = False, connection.alias
