"""Django's PostgreSQL backend, with a cheaper connection check and prepared statements.

- A pooled connection is checked with poll() instead of `SELECT 1`. A connection that the server has
  closed is readable (end of stream); one with nothing to read is alive. Django's own check is a
  round trip, which would be the third for a call that needs two.
- Times are read by `datetime.fromisoformat`, in a tenth of the time of psycopg's parser in Python,
  which Django's own loader uses.
- jsonb is read by msgspec, in binary answers.
- `rows_of` and `run` are for statements whose text does not change (`database.statements`).
  PostgreSQL binds their parameters, prepares them after two uses, and answers in binary. Each
  connection keeps a cursor for each text, which knows how to send its values and read its rows.
  Django's own cursors put the values into the text and never prepare. They stay in use for
  everything else. A search, whose best plan depends on the values, is bound, too, and never
  prepared. Behind a PgBouncer that does not know prepared statements, nothing is prepared
  (DATABASE_POOLER).
"""

import select
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from functools import cache, lru_cache
from typing import Any, cast

import msgspec
import psycopg
from django.conf import settings
from django.db.backends.postgresql import base, operations, psycopg_any
from psycopg import Connection
from psycopg._queries import PostgresQuery, _query2pg_nocache
from psycopg.adapt import AdaptersMap
from psycopg.pq import Format
from psycopg.types.json import JsonbBinaryLoader
from psycopg_pool import ConnectionPool

# Uses of a statement on a connection before it is prepared.
PREPARE_THRESHOLD = 2
# psycopg prepares as many statements on a connection.
MAX_KEPT_CURSORS = 100

Values = Sequence[Any] | Mapping[str, Any]


class DatabaseOperations(operations.DatabaseOperations):
    def last_executed_query(self, cursor: Any, sql: str, params: Any) -> Any:
        """The query with its values, also for cursors that send the values separately."""
        if isinstance(cursor, base.ServerBindingCursor):
            return self.compose_sql(sql, params)
        return super().last_executed_query(cursor, sql, params)


class UtcLoader(psycopg_any.BaseTzLoader):
    """Reads the times of a session in UTC. Django registers its own where `timezone` differs."""

    timezone = UTC

    def load(self, data: Any) -> datetime:
        text = bytes(data)
        if not text.endswith(b"+00"):  # another time zone, BC, infinity
            return cast(datetime, super().load(data))
        try:
            return datetime.fromisoformat(text.decode())
        except ValueError:  # a year after 9999
            return cast(datetime, super().load(data))


class JsonLoader(JsonbBinaryLoader):
    _loads = staticmethod(msgspec.json.Decoder().decode)


class _ConvertedOnce(PostgresQuery):
    """psycopg keeps the conversion of a text (`%s` to `$1`) only of short ones, and an order has 57
    columns.
    """

    __slots__ = ()

    def convert(self, query: Any, vars: Any) -> None:
        if not isinstance(query, str) or vars is None:
            super().convert(query, vars)
            return
        converted = _converted(query, self._tx.encoding)
        self.query, self._want_formats, self._order, self._parts = converted
        self.dump(vars)


@lru_cache(maxsize=1000)
def _converted(text: str, encoding: str) -> Any:
    return _query2pg_nocache(text.encode(encoding), encoding)


class BindingCursor(base.ServerBindingCursor):
    _query_cls = _ConvertedOnce


class PlanningCursor(BindingCursor):
    def execute(self, query: Any, params: Any = None, **options: Any) -> Any:
        cursor = cast(Any, super())  # the stubs lack it
        return cursor.execute(query, params, prepare=False, **options)


class DatabaseWrapper(base.DatabaseWrapper):
    ops_class = DatabaseOperations

    def get_connection_params(self) -> dict[str, Any]:
        params = super().get_connection_params()
        prepares = settings.DATABASE_POOLER != "transaction"
        params["context"] = _adapters(params["context"])
        params["prepare_threshold"] = PREPARE_THRESHOLD if prepares else None
        return params

    def get_new_connection(self, conn_params: dict[str, Any]) -> Any:
        """A connection that is alive. Raises OperationalError, also if all in the pool are dead
        and no new one is ready within the pool's timeout.
        """
        connection = super().get_new_connection(conn_params)
        while self.pool and not _is_alive(connection):
            connection.close()
            self.pool.putconn(connection)  # the pool replaces a closed connection
            connection = super().get_new_connection(conn_params)
        return connection

    def _set_autocommit(self, autocommit: bool) -> None:
        """Connections of the pool have it already when Django sets it."""
        with self.wrap_database_errors:
            if self.connection.autocommit != autocommit:
                self.connection.autocommit = autocommit

    def rows_of(self, text: str, values: Values) -> list[tuple[Any, ...]]:
        """The rows of a statement whose text does not change. jsonb is parsed."""
        cursor = self._kept_cursor(text)
        try:
            with self.wrap_database_errors:
                return self._rows_of(cursor, text, values)
        finally:
            _forget_rows(cursor)

    def run(self, text: str, values: Values) -> int:
        """Executes such a statement; returns how many rows it changed."""
        cursor = self._kept_cursor(text)
        try:
            with self.wrap_database_errors:
                self._execute(cursor, text, values)
            return int(cursor.rowcount)
        finally:
            _forget_rows(cursor)

    def planned_rows_of(self, text: str, values: Values) -> list[tuple[Any, ...]]:
        """Like `rows_of`, of a statement that PostgreSQL plans for each call's values."""
        self._connected()
        with self.wrap_database_errors:
            return self._rows_of(_binary(PlanningCursor, self.connection), text, values)

    def _kept_cursor(self, text: str) -> Any:
        self._connected()
        kept: dict[str, Any] = vars(self.connection).setdefault("kept_cursors", {})
        if text not in kept:
            if len(kept) >= MAX_KEPT_CURSORS:
                kept.clear()
            with self.wrap_database_errors:
                kept[text] = _binary(BindingCursor, self.connection)
        return kept[text]

    def _connected(self) -> None:
        self.close_if_health_check_failed()
        if self.connection is None:
            self.ensure_connection()

    def _execute(self, cursor: Any, text: str, values: Values) -> None:
        """As Django's wrapper of cursors does, which is used only for its hooks and logs."""
        if self.execute_wrappers or self.queries_logged:
            cast(Any, self)._prepare_cursor(cursor).execute(text, values)  # the stubs lack it
        else:
            self.validate_no_broken_transaction()
            cursor.execute(text, values)

    def _rows_of(self, cursor: Any, text: str, values: Values) -> list[tuple[Any, ...]]:
        self._execute(cursor, text, values)
        return cast(list[tuple[Any, ...]], cursor.fetchall())


def _binary(kind: type[Any], connection: Any) -> Any:
    cursor = kind(connection)
    cursor.format = Format.BINARY
    return cursor


def _forget_rows(cursor: Any) -> None:
    """A kept cursor holds nothing of its last answer: the next may come much later."""
    cursor._reset()
    cursor._tx.set_pgresult(None)


@cache
def _adapters(django: AdaptersMap) -> AdaptersMap:
    """Django's own adapters, except for times and jsonb. Made once: each request asks for them."""
    adapters = AdaptersMap(django)
    adapters.register_loader("timestamptz", UtcLoader)
    adapters.register_loader("jsonb", JsonLoader)
    return adapters


def _is_alive(connection: Connection[Any]) -> bool:
    if connection.closed:
        return False
    watched = select.poll()
    watched.register(connection.fileno(), select.POLLIN)
    if not watched.poll(0):
        return True
    try:
        ConnectionPool.check_connection(connection)
    except psycopg.Error:
        return False
    return True
