"""Makes a few rows, and writes them by statements that PostgreSQL prepares once. `bulk` is for many
rows.
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, TypeVar

from django.db import DEFAULT_DB_ALIAS
from django.db.models import Model

from wingxtra.database.statements import connection, object_of, with_changes
from wingxtra.database.values import Encoder, encoder_of, inserted_of, sent, values_of

M = TypeVar("M", bound=Model)

# A statement has at most 65,535 parameters, one for each column of each row.
MAX_ROWS_OF_AN_INSERT = 100


@dataclass(frozen=True, slots=True)
class RowChange:
    """New values of the columns of one row."""

    model: type[Model]
    pk: Any
    values: Mapping[str, Any]

    @property
    def written_as(self) -> tuple[str, list[Any]]:
        """The UPDATE and its values."""
        sql, encoders = _update_sql(self.model, tuple(self.values), ("pk",))
        return sql, sent(encoders, [*self.values.values(), self.pk])

    def run(self) -> None:
        """Sends no model signals, as `QuerySet.update`, and raises like it."""
        connection.run(*self.written_as)


@dataclass(frozen=True, slots=True)
class NewRow:
    """A row to be inserted. An id that the database assigns is not set."""

    row: Model

    @property
    def written_as(self) -> tuple[str, list[Any]]:
        """The INSERT and its values."""
        return _insert_sql(type(self.row), 1, "")[0], values_of(self.row)

    def run(self) -> None:
        """Sends no model signals. Raises IntegrityError like `save`."""
        connection.run(*self.written_as)


RowWrite = RowChange | NewRow


def new(model: type[M], **values: Any) -> M:
    """An unsaved row like `model(**values)`, in a fifth of the time. For models that do not change
    `__init__`. values: of columns (`order_id`), not related objects. Sends no model signals.
    """
    constants, made = _defaults_of(model)
    if unknown := values.keys() - constants.keys() - made.keys():
        raise TypeError(f"{model.__name__} has no columns {', '.join(sorted(unknown))}.")
    columns = constants | values
    for name, default in made.items():
        if name not in values:
            columns[name] = default()
    return object_of(model, columns.items())


def insert(rows: Sequence[Model], also: Sequence[RowWrite] = ()) -> None:
    """Insert a few rows of one model in one statement. Sets the ids that the database assigns.

    also: writes of other rows by the same statement, which saves a round trip each. PostgreSQL
    makes them in any order, so none may need another.

    Raises IntegrityError like `save`. Sends no model signals.
    """
    _insert(rows, "", also)


def insert_those_that_are_new(rows: Sequence[M]) -> list[M]:
    """Insert the rows that no unique index has already, and return them. For models whose ids are
    made here and not by the database.

    Transactions wait for each other's rows: give them in the order of their unique values, so that
    no two wait in a circle.
    """
    inserted: list[M] = []
    for start in range(0, len(rows), MAX_ROWS_OF_AN_INSERT):
        some = rows[start : start + MAX_ROWS_OF_AN_INSERT]
        ids = _insert(some, "ON CONFLICT DO NOTHING")
        inserted += [row for row in some if row.pk in ids]
    return inserted


def insert_if_new(row: Model) -> bool:
    """Insert a row unless a unique index has it already. False if it does."""
    return bool(_insert([row], "ON CONFLICT DO NOTHING"))


def insert_if_new_with(row: Model, needing_it: Sequence[Model]) -> bool:
    """Insert a row unless a unique index has it already, and in the same statement rows of another
    model that need it, at least one. False if it does: then nothing is written.
    """
    new_sql, _ = _insert_sql(type(row), 1, "ON CONFLICT DO NOTHING")
    sql = _needing_sql(new_sql, type(needing_it[0]), len(needing_it))
    values = values_of(row) + [value for one in needing_it for value in values_of(one)]
    ids = connection.rows_of(sql, values)
    if ids:
        _mark_written([row, *needing_it])
        for one, (pk,) in zip(needing_it, ids, strict=True):
            one.pk = pk
    return bool(ids)


def update(model: type[Model], pk: Any, **values: Any) -> None:
    """Change one row. Sends no model signals, as `QuerySet.update`, and raises like it."""
    RowChange(model, pk, values).run()


def update_where(model: type[Model], columns: Mapping[str, Any], **values: Any) -> int:
    """The same for the rows that have these values in `columns`, none of them None. Returns how
    many there are.
    """
    sql, encoders = _update_sql(model, tuple(values), tuple(columns))
    return connection.run(sql, sent(encoders, [*values.values(), *columns.values()]))


def lock_against_deletion(row: Model) -> bool:
    """Keep the row from being deleted until the transaction ends; False if it is gone already.

    Any number of transactions can do so at the same time, and the row can still be changed.
    """
    meta = row._meta
    sql = f'SELECT 1 FROM "{meta.db_table}" WHERE "{meta.pk.column}" = %s FOR KEY SHARE'  # noqa: S608
    return bool(connection.rows_of(sql, [row.pk]))


def _insert(rows: Sequence[Model], on_conflict: str, also: Sequence[RowWrite] = ()) -> set[Any]:
    """Returns the ids of the inserted rows."""
    sql, pk_is_given = _insert_sql(type(rows[0]), len(rows), on_conflict)
    values = [value for row in rows for value in values_of(row)]
    if also:
        written = [write.written_as for write in also]
        sql = with_changes(tuple(text for text, _ in written), sql)
        values = [value for _, of_write in written for value in of_write] + values
    ids = connection.rows_of(sql, values)
    if pk_is_given:
        for row, (pk,) in zip(rows, ids, strict=not on_conflict):
            row.pk = pk
    inserted = {pk for (pk,) in ids}
    _mark_written([row for row in rows if row.pk in inserted])
    return inserted


def _mark_written(rows: Iterable[Model]) -> None:
    for row in rows:
        row._state.adding, row._state.db = False, DEFAULT_DB_ALIAS


@cache
def _defaults_of(
    model: type[Model],
) -> tuple[dict[str, Any], dict[str, Callable[[], Any]]]:
    """The defaults of the columns: those that are the same for each row, and what makes others."""
    fields = {field.attname: field for field in model._meta.concrete_fields}
    made = {name: field.get_default for name, field in fields.items() if callable(field.default)}
    same = {name: field.get_default() for name, field in fields.items() if name not in made}
    return same, made


@cache
def _insert_sql(model: type[Model], rows: int, on_conflict: str) -> tuple[str, bool]:
    meta, fields = model._meta, inserted_of(model).fields
    columns = ", ".join(f'"{field.column}"' for field in fields)
    one = f"({', '.join(['%s'] * len(fields))})"
    sql = (
        f'INSERT INTO "{meta.db_table}" ({columns}) VALUES {", ".join([one] * rows)} '  # noqa: S608
        f'{on_conflict} RETURNING "{meta.pk.column}"'
    )
    return sql, meta.pk in meta.db_returning_fields


@cache
def _needing_sql(new_sql: str, model: type[Model], rows: int) -> str:
    """The INSERT of rows that need the new row of `new_sql`, none without it."""
    meta, fields = model._meta, inserted_of(model).fields
    columns = ", ".join(f'"{field.column}"' for field in fields)
    # Values of a SELECT do not take the types of the columns. A cast to varchar(10) would cut them.
    types = [re.sub(r"^varchar\(\d+\)$", "varchar", field.db_type(connection)) for field in fields]
    one = f"({', '.join(f'%s::{kind}' for kind in types)})"
    values = ", ".join([one] * rows)
    return (
        f'WITH new AS ({new_sql}) INSERT INTO "{meta.db_table}" ({columns}) '  # noqa: S608
        f"SELECT * FROM (VALUES {values}) AS needing WHERE EXISTS (SELECT FROM new) "
        f'RETURNING "{meta.pk.column}"'
    )


@cache
def _update_sql(
    model: type[Model], names: tuple[str, ...], conditions: tuple[str, ...]
) -> tuple[str, list[Encoder]]:
    """The encoders are those of the values, then those of the conditions."""
    meta = model._meta
    to_set, to_match = ([_field(meta, name) for name in of] for of in (names, conditions))
    values = ", ".join(f'"{field.column}" = %s' for field in to_set)
    matches = " AND ".join(f'"{field.column}" = %s' for field in to_match)
    sql = f'UPDATE "{meta.db_table}" SET {values} WHERE {matches}'  # noqa: S608
    return sql, [encoder_of(field) for field in (*to_set, *to_match)]


def _field(meta: Any, name: str) -> Any:
    return meta.pk if name == "pk" else meta.get_field(name)
