"""The SQL of hot calls, written and planned once.

To turn a queryset into SQL takes Django several times as long as PostgreSQL takes to answer it, and
PostgreSQL itself plans longer than it reads. So a query that every call makes is a `Statement`: the
queryset is compiled at its first use, and PostgreSQL prepares it for each connection. Everything
else stays with querysets, above all searches, whose best plan depends on what is searched for.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache, cached_property
from typing import Any, Generic, TypeVar, cast
from uuid import UUID, uuid4

from django.core.exceptions import EmptyResultSet
from django.db import DEFAULT_DB_ALIAS, NotSupportedError
from django.db import connection as django_connection
from django.db.models import Model, QuerySet
from django.db.models.query import get_related_populators

from wingxtra.database.postgresql.base import DatabaseWrapper

M = TypeVar("M", bound=Model)

connection = cast(DatabaseWrapper, django_connection)

# Values that stand for a parameter while the SQL is written: nothing else equals them.
_STAND_INS: dict[type, Callable[[], Any]] = {
    str: lambda: f"parameter {uuid4()}",
    UUID: uuid4,
    datetime: lambda: datetime.fromtimestamp(uuid4().int % 2**31, UTC),
}


@dataclass(frozen=True, slots=True)
class _Parameter:
    name: str


class Statement(Generic[M]):
    """A queryset with parameters, as one prepared statement.

    `queryset_of(**parameters)` is called once, with values that stand for the real ones, so that
    nothing in it may depend on them. `kinds` gives the type of each: str, UUID or datetime.
    """

    def __init__(self, queryset_of: Callable[..., QuerySet[M]], **kinds: type) -> None:
        self._queryset_of, self._kinds = queryset_of, kinds

    def first(self, **values: Any) -> M | None:
        """The first row for these parameters, as the queryset would make it; None without one."""
        sql, places, made_of = self._compiled
        if not sql:
            return None
        given = [values[p.name] if isinstance(p, _Parameter) else p for p in places]
        try:
            row = _first_row(sql, given)
        except NotSupportedError:
            # A migration has changed a column's type since it was prepared on this connection.
            if connection.in_atomic_block:
                raise
            forget_prepared()
            row = _first_row(sql, given)
        return None if row is None else made_of(row)

    @cached_property
    def _compiled(self) -> tuple[str, list[Any], Callable[[Sequence[Any]], M]]:
        """The text (empty when nothing can ever be found), for each place in it a _Parameter or a
        value for good, and what makes an object of a row."""
        stand_ins = {name: _STAND_INS[kind]() for name, kind in self._kinds.items()}
        query = self._queryset_of(**stand_ins)[:1].query
        compiler = query.get_compiler(DEFAULT_DB_ALIAS)
        try:
            sql, values = compiler.as_sql()
        except EmptyResultSet:
            return "", [], _nothing
        parameters = {value: _Parameter(name) for name, value in stand_ins.items()}
        missing = set(stand_ins) - {p.name for v in values if (p := parameters.get(v))}
        if missing:
            raise ValueError(f"The queryset does not use {', '.join(sorted(missing))} as given.")
        return sql, [parameters.get(value, value) for value in values], _maker(compiler)


def _nothing(_row: Sequence[Any]) -> Any:
    raise AssertionError("There is no row to make something of.")


def _first_row(sql: str, values: Sequence[Any]) -> Sequence[Any] | None:
    with connection.prepared_cursor() as cursor:
        cursor.execute(sql, values)
        row: Sequence[Any] | None = cursor.fetchone()
        return row


def forget_prepared() -> None:
    """Have this connection prepare anew whatever it is asked from now on."""
    with connection.cursor() as cursor:
        cursor.execute("DEALLOCATE ALL")  # psycopg sees that, and forgets its names of them


def _maker(compiler: Any) -> Callable[[Sequence[Any]], Any]:
    """What makes objects of rows, as django.db.models.query.ModelIterable does."""
    select, klass = compiler.select, compiler.klass_info
    first, end = klass["select_fields"][0], klass["select_fields"][-1] + 1
    names = [column[0].target.attname for column in select[first:end]]
    related = get_related_populators(
        klass,
        select,
        DEFAULT_DB_ALIAS,  # type: ignore[call-arg]  # the stubs are of a later Django
    )
    converters = compiler.get_converters([column[0] for column in select])

    def made_of(row: Sequence[Any]) -> Any:
        if converters:
            (row,) = compiler.apply_converters([row], converters)
        made = klass["model"].from_db(DEFAULT_DB_ALIAS, names, row[first:end])
        for populator in related:
            populator.populate(row, made)
        return made

    return made_of


def insert(rows: Sequence[Model]) -> None:
    """Write a few new rows of one model in one statement; sets the ids that the database gives.

    Raises IntegrityError like `save`. Signals of the model are not sent.
    """
    _insert(rows, "")


def insert_unless_it_exists(row: Model) -> bool:
    """Write a new row as `insert` does; False, and nothing written, where a unique index has one
    like it already.
    """
    return _insert([row], "ON CONFLICT DO NOTHING") == 1


def _insert(rows: Sequence[Model], on_conflict: str) -> int:
    sql, fields, pk_is_given = _insert_sql(type(rows[0]), len(rows), on_conflict)
    values = [
        field.get_db_prep_save(field.pre_save(row, add=True), connection)
        for row in rows
        for field in fields
    ]
    with connection.prepared_cursor() as cursor:
        cursor.execute(sql, values)
        ids = cursor.fetchall()
    # All of them or, where there is a conflict and but one row, none.
    for row, (pk,) in zip(rows, ids, strict=False):
        if pk_is_given:
            row.pk = pk
        row._state.adding, row._state.db = False, DEFAULT_DB_ALIAS
    return len(ids)


@cache
def _insert_sql(model: type[Model], rows: int, on_conflict: str) -> tuple[str, list[Any], bool]:
    meta = model._meta
    pk_is_given = meta.pk in meta.db_returning_fields
    fields = [field for field in meta.concrete_fields if not (pk_is_given and field.primary_key)]
    columns = ", ".join(f'"{field.column}"' for field in fields)
    one = f"({', '.join(['%s'] * len(fields))})"
    sql = (
        f'INSERT INTO "{meta.db_table}" ({columns}) VALUES {", ".join([one] * rows)} '  # noqa: S608
        f'{on_conflict} RETURNING "{meta.pk.column}"'
    )
    return sql, fields, pk_is_given
