"""The SQL of hot calls, compiled and planned once.

Django takes several times as long to compile a queryset as PostgreSQL to answer it, and PostgreSQL
takes longer to plan than to read. So a query that every call makes is a `Statement`: the queryset
is compiled at its first use, and PostgreSQL prepares it per connection. Searches, whose best plan
depends on the values, are a `PlannedStatement`. Other queries are normal querysets.
"""

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache, cached_property
from typing import Any, Generic, TypeVar, cast
from uuid import UUID, uuid4

from django.core.exceptions import EmptyResultSet
from django.db import DEFAULT_DB_ALIAS, NotSupportedError
from django.db import connection as django_connection
from django.db.models import (
    CharField,
    IntegerField,
    JSONField,
    Lookup,
    Model,
    QuerySet,
    UUIDField,
)
from django.db.models.base import ModelState
from django.db.models.query import get_related_populators
from django.db.models.sql import UpdateQuery
from psycopg.sql import Literal

from wingxtra.database.postgresql.base import DatabaseWrapper

Row = TypeVar("Row")
M = TypeVar("M", bound=Model)

connection = cast(DatabaseWrapper, django_connection)

# Unique values that stand for the parameters while the queryset is compiled. Those for times are in
# a far future: another time within MAX_APART is derived from the parameter.
MAX_APART = timedelta(days=1000)
_STAND_INS: dict[type, Callable[[], Any]] = {
    str: lambda: f"parameter {uuid4()}",
    UUID: uuid4,
    datetime: lambda: datetime(3000, 1, 1, tzinfo=UTC) + timedelta(seconds=uuid4().int % 2**20),
    int: lambda: uuid4().int % 2**31,
    list: lambda: (uuid4(),),
}


@CharField.register_lookup
@IntegerField.register_lookup
@UUIDField.register_lookup
class Among(Lookup):
    """`id__among=ids`: like `id__in`, with one parameter for any number of values, so that a
    Statement or an Update can have it. Over a foreign key: `job__id__among`.
    """

    lookup_name = "among"
    prepare_rhs = False

    def as_sql(self, compiler: Any, connection: Any) -> tuple[str, tuple[Any, ...]]:
        column, values = self.process_lhs(compiler, connection)
        return f"{column} = ANY(%s)", (*values, self.rhs)


@dataclass(frozen=True, slots=True)
class _Parameter:
    """`later`: by how much the value is later than the parameter, which is a time."""

    name: str
    is_pattern: bool = False
    later: timedelta | None = None

    def of(self, values: dict[str, Any]) -> Any:
        value = values[self.name]
        if self.later is not None:
            return value + self.later
        return f"%{connection.ops.prep_for_like_query(value)}%" if self.is_pattern else value


class Statement(Generic[Row]):
    """A queryset with parameters, as one prepared statement.

    `queryset_of(**parameters)` is called once, with stand-ins for the real values, so it must not
    depend on them. Times it may use with a timedelta added, or not at all.

    `kinds`: the type of each parameter, which is str, UUID, datetime, int, or list for the values
    of `among`. The rows of a `values_list` are tuples.
    """

    def __init__(self, queryset_of: Callable[..., QuerySet[Any, Row]], **kinds: type) -> None:
        self._queryset_of, self._kinds = queryset_of, kinds

    def first(self, **values: Any) -> Row | None:
        """The queryset's first row for these parameters; None if there is none."""
        return next(iter(self._made(self._first, values)), None)

    def all(self, **values: Any) -> list[Row]:
        """All rows of the queryset for these parameters."""
        return self._made(self.compiled, values)

    def count(self, **values: Any) -> int:
        """How many rows the queryset has for these parameters."""
        counted: list[Any] = self._made(self._count, values)
        return sum(counted)

    @cached_property
    def _first(self) -> "Compiled":
        return self._compiled(1)

    @cached_property
    def compiled(self) -> "Compiled":
        return self._compiled(None)

    @cached_property
    def _count(self) -> "Compiled":
        sql = self.compiled.sql and f"SELECT COUNT(*) FROM ({self.compiled.sql}) AS counted"  # noqa: S608
        return Compiled(sql, self.compiled.places, lambda row: row[0])

    def _compiled(self, at_most: int | None) -> "Compiled":
        stand_ins = _stand_ins(self._kinds)
        queryset: Any = self._queryset_of(**stand_ins)[:at_most]
        compiler = queryset.query.get_compiler(DEFAULT_DB_ALIAS)
        sql, places = _sql_and_places(compiler, stand_ins)
        if datetime in self._kinds.values():
            self._refuse_other_times(at_most, sql, places)
        if not sql:
            return Compiled("", [], _nothing)
        return Compiled(sql, places, maker(compiler, as_tuples=queryset._fields is not None))

    def _refuse_other_times(self, at_most: int | None, sql: str, places: list[Any]) -> None:
        """Midnight before a time moves in another way than the time, and the clock even without it.
        Raises ValueError.
        """
        others = _stand_ins(self._kinds)
        compiler = self._queryset_of(**others)[:at_most].query.get_compiler(DEFAULT_DB_ALIAS)
        if _sql_and_places(compiler, others) != (sql, places):
            raise ValueError("The queryset has a time that is not a parameter plus a timedelta.")

    def _made(self, compiled: "Compiled", values: dict[str, Any]) -> list[Any]:
        if not compiled.sql:
            return []
        given = _given(compiled.places, values)
        try:
            rows = self._rows(compiled.sql, given)
        except NotSupportedError:
            # A migration has changed a column's type since this connection prepared the statement.
            if connection.in_atomic_block:
                raise
            forget_prepared()
            rows = self._rows(compiled.sql, given)
        return [compiled.to_object(row) for row in rows]

    def _rows(self, sql: str, values: Sequence[Any]) -> Sequence[Sequence[Any]]:
        return connection.rows_of(sql, values)


class PlannedStatement(Statement[Row]):
    """A Statement that PostgreSQL plans anew for each call's values."""

    def _rows(self, sql: str, values: Sequence[Any]) -> Sequence[Sequence[Any]]:
        return connection.planned_rows_of(sql, values)


class Update:
    """An UPDATE with parameters, as one prepared statement.

    `change_of(**parameters)` returns the queryset and the new values by field; see `Statement`.
    """

    def __init__(
        self, change_of: Callable[..., tuple[QuerySet[Any], dict[str, Any]]], **kinds: type
    ) -> None:
        self._change_of, self._kinds = change_of, kinds

    def run(self, **values: Any) -> int:
        """Returns how many rows were changed."""
        sql, places = self.compiled
        if not sql:
            return 0
        return connection.run(sql, _given(places, values))

    @cached_property
    def compiled(self) -> tuple[str, list[_Parameter]]:
        stand_ins = _stand_ins(self._kinds)
        queryset, new = self._change_of(**stand_ins)
        query: Any = queryset.order_by().query.chain(UpdateQuery)
        query.add_update_values(new)
        return _sql_and_places(query.get_compiler(DEFAULT_DB_ALIAS), stand_ins)


class Updates:
    """Updates of rows of different tables in one statement. Each sees the rows as they were before,
    so none may need another.

    The first is the statement itself and the others are its WITH, which PostgreSQL carries out
    afterwards: so it locks the rows of the first before those of the others.
    """

    def __init__(self, *updates: Update) -> None:
        self._updates = updates

    def run(self, **values: Any) -> None:
        """values: of the parameters of all of them."""
        compiled = [sql_and_places for one in self._updates if (sql_and_places := one.compiled)[0]]
        if compiled:
            first, *others = compiled
            text = with_changes(tuple(sql for sql, _ in others), first[0])
            in_text = [*others, first]
            connection.run(text, [v for _, places in in_text for v in _given(places, values)])


def _stand_ins(kinds: dict[str, type]) -> dict[str, Any]:
    made = {name: _STAND_INS[kind]() for name, kind in kinds.items()}
    for number, (name, value) in enumerate(made.items()):
        if isinstance(value, datetime):  # far from the others, so that each is known by its derived
            made[name] = value + 3 * number * MAX_APART
    return made


def _sql_and_places(compiler: Any, stand_ins: dict[str, Any]) -> tuple[str, list[_Parameter]]:
    """The SQL, empty if it is about no row at all, and the parameter at each placeholder."""
    try:
        sql, values = compiler.as_sql()
    except EmptyResultSet:
        return "", []
    parameters = {value: _Parameter(name) for name, value in stand_ins.items()}
    # The value of `contains` and `icontains`.
    parameters |= {
        f"%{value}%": _Parameter(name, is_pattern=True)
        for name, value in stand_ins.items()
        if isinstance(value, str)
    }
    left, places = iter(values), list[_Parameter]()

    def written(placeholder: re.Match[str]) -> str:
        """A constant is a part of the text: also a plan for any values can use partial indexes."""
        if placeholder[0] == "%%":
            return "%%"
        place = _place(next(left), parameters, stand_ins)
        if isinstance(place, _Parameter):
            places.append(place)
            return "%s"
        return Literal(place).as_string(connection.connection).replace("%", "%%")

    connection.ensure_connection()
    sql = re.sub("%[%s]", written, sql)
    missing = {name for name in stand_ins if not isinstance(stand_ins[name], datetime)}
    missing -= {place.name for place in places}
    if missing:
        raise ValueError(f"The queryset does not use {', '.join(sorted(missing))} as given.")
    return sql, places


def _place(value: Any, parameters: dict[Any, _Parameter], stand_ins: dict[str, Any]) -> Any:
    """The parameter that the value stands for, or the value, which is constant."""
    if isinstance(value, list):  # the values of `among`, or a path in JSON
        return parameters.get(tuple(value), value)
    if value in parameters or not isinstance(value, datetime):
        return parameters.get(value, value)
    for name, stand_in in stand_ins.items():
        if isinstance(stand_in, datetime) and abs(value - stand_in) < MAX_APART:
            return _Parameter(name, later=value - stand_in)
    return value


def _given(places: list[_Parameter], values: dict[str, Any]) -> list[Any]:
    return [place.of(values) for place in places]


@dataclass(frozen=True, slots=True)
class Compiled:
    """The SQL (empty if the queryset is always empty), the parameter at each placeholder, and the
    function from a row to an object.
    """

    sql: str
    places: list[_Parameter]
    to_object: Callable[[Sequence[Any]], Any]


def _nothing(_row: Sequence[Any]) -> Any:
    raise AssertionError("An empty queryset has no row.")


def forget_prepared() -> None:
    """Drop all prepared statements of this connection; each is prepared again at its next use."""
    with connection.cursor() as cursor:
        cursor.execute("DEALLOCATE ALL")  # psycopg notices it and forgets their names


def maker(compiler: Any, *, as_tuples: bool) -> Callable[[Sequence[Any]], Any]:
    """A function from rows to objects, as in django.db.models.query.ModelIterable."""
    select, klass = compiler.select, compiler.klass_info
    columns = [column[0] for column in select]
    # A prepared cursor parses jsonb itself.
    converters = {
        place: converter
        for place, converter in compiler.get_converters(columns).items()
        if not isinstance(columns[place].output_field, JSONField)
    }
    if as_tuples and not converters:
        return tuple
    if as_tuples:
        return lambda row: tuple(*compiler.apply_converters([row], converters))
    annotations = compiler.annotation_col_map.items()
    first, end = klass["select_fields"][0], klass["select_fields"][-1] + 1
    names = [column[0].target.attname for column in select[first:end]]
    related = get_related_populators(
        klass,
        select,
        compiler.using,  # type: ignore[call-arg]  # the stubs are of a later Django
    )

    def to_object(row: Sequence[Any]) -> Any:
        if converters:
            (row,) = compiler.apply_converters([row], converters)
        made = object_of(klass["model"], zip(names, row[first:end], strict=True))
        made._state.adding, made._state.db = False, compiler.using
        for populator in related:
            populator.populate(row, made)
        for name, place in annotations:
            setattr(made, name, row[place])
        return made

    return to_object


def object_of(model: type[M], columns: Iterable[tuple[str, Any]]) -> M:
    """An object with these values of columns. For models that do not change `__init__`.

    Django's own way sets one attribute after the other and sends signals, in ten times the time.
    """
    made = object.__new__(model)
    made._state = ModelState()
    made.__dict__.update(columns)
    return made


@cache
def with_changes(changes: tuple[str, ...], statement: str) -> str:
    """The SQL of `statement` that also makes these changes, in its WITH."""
    named = ", ".join(f"change_{number} AS ({change})" for number, change in enumerate(changes))
    return f"WITH {named} {statement}" if named else statement
