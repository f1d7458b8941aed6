"""Many rows at once, in as many statements as one row takes.

Django's `bulk_create` and `bulk_update` build an expression for every value; for thousands of rows
that takes many times as long as the database does. Signals of models are not sent, as with those.
"""

from collections.abc import Collection, Sequence
from enum import Enum
from typing import Any

import msgspec
from django.db import connection, models
from psycopg.types.json import Jsonb

from wingxtra.database import statements

# So few go by one prepared statement, of which there is one for each number of rows.
FEW = 8


def insert(rows: Sequence[models.Model]) -> None:
    """Write new rows of one model: a few by a prepared statement, more by COPY. Keys that the
    database counts are set on the rows.

    Raises IntegrityError like any insert. Inside the caller's transaction.
    """
    if not rows:
        return
    model = type(rows[0])
    if len(rows) <= FEW:
        statements.insert(rows)
        return
    _number(rows)
    fields = model._meta.concrete_fields
    statement = f"COPY {_named(model._meta.db_table)} ({_columns(fields)}) FROM STDIN"
    with (
        connection.cursor() as cursor,
        connection.wrap_database_errors,
        cursor.copy(statement) as copy,
    ):
        for row in rows:
            copy.write_row([_value(field, row, add=True) for field in fields])
    for row in rows:
        row._state.adding, row._state.db = False, connection.alias


def update(rows: Collection[models.Model], names: Collection[str]) -> None:
    """Write these fields of many rows of one model in one statement, each to its own values."""
    if not rows:
        return
    model = type(next(iter(rows)))
    key, fields = _key_of(model), [_field_of(model, name) for name in names]
    sets = ", ".join(f"{_named(f.column)} = v.{_named(f.column)}" for f in fields)
    types = ", ".join(f"{_named(f.column)} {f.db_type(connection)}" for f in [key, *fields])
    values = [{f.column: _value(f, row, add=False) for f in [key, *fields]} for row in rows]
    with connection.cursor() as cursor:
        cursor.execute(
            f"UPDATE {_named(model._meta.db_table)} AS t SET {sets} "  # noqa: S608 (our own names)
            f"FROM jsonb_to_recordset(%s::jsonb) AS v({types}) "
            f"WHERE t.{_named(key.column)} = v.{_named(key.column)}",
            [msgspec.json.encode(values, enc_hook=_plain).decode()],
        )


def _number(rows: Sequence[models.Model]) -> None:
    """Draw the keys that the database would give, for rows that have none yet."""
    unnumbered = [row for row in rows if row.pk is None]
    if not unnumbered:
        return
    key, table = _key_of(type(rows[0])), rows[0]._meta.db_table
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT nextval(pg_get_serial_sequence(%s, %s)) FROM generate_series(1, %s)",
            [table, key.column, len(unnumbered)],
        )
        for row, (number,) in zip(unnumbered, cursor.fetchall(), strict=True):
            row.pk = number


def _key_of(model: type[models.Model]) -> Any:
    return model._meta.pk


def _field_of(model: type[models.Model], name: str) -> Any:
    return model._meta.get_field(name)


def _columns(fields: Collection[Any]) -> str:
    return ", ".join(_named(field.column) for field in fields)


def _named(name: str) -> str:
    return connection.ops.quote_name(name)


def _value(field: Any, row: models.Model, *, add: bool) -> Any:
    value = field.get_db_prep_save(field.pre_save(row, add), connection)
    return value.value if isinstance(value, Enum) else value


def _plain(value: Any) -> Any:
    if isinstance(value, Jsonb):
        return value.obj
    if isinstance(value, int):  # psycopg's own kinds of integers
        return int(value)
    raise TypeError(f"{type(value).__name__} has no form in JSON")
