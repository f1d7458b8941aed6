"""Django's PostgreSQL backend, with a cheaper connection check and prepared statements.

- A pooled connection is checked with poll() instead of `SELECT 1`. A connection that the server has
  closed is readable (end of stream); one with nothing to read is alive. Django's own check is a
  round trip, which would be the third for a call that needs two.
- Times are read by `datetime.fromisoformat`, in a tenth of the time of psycopg's parser in Python,
  which Django's own loader uses.
- `prepared_cursor` is for statements whose text does not change (`database.statements`). PostgreSQL
  binds their parameters, prepares them after two uses, and answers in binary. Django's own
  cursors put the values into the text and never prepare. They stay in use for everything else. A
  search, whose best plan depends on the values, is bound, too, and never prepared. Behind a
  PgBouncer that does not know prepared statements, nothing is prepared (DATABASE_POOLER).
"""

import select
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, cast

import psycopg
from django.conf import settings
from django.db.backends.postgresql import base, operations, psycopg_any
from psycopg import Connection
from psycopg._queries import PostgresQuery, _query2pg_nocache
from psycopg.adapt import AdaptersMap
from psycopg.pq import Format
from psycopg_pool import ConnectionPool

# Uses of a statement on a connection before it is prepared.
PREPARE_THRESHOLD = 2


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
    """Closed, it is kept for the next statement of its connection: a new one must find out again
    how each type of value is sent and read.
    """

    _query_cls = _ConvertedOnce

    @classmethod
    def of(cls, connection: Any) -> Any:
        made = cast(Any, cls)  # the stubs lack its arguments
        return _spare(connection).pop(cls, None) or made(connection)

    def close(self) -> None:
        cursor = cast(Any, self)  # the stubs lack the internals
        cursor._reset()
        _spare(cursor.connection)[type(self)] = self


def _spare(connection: Any) -> dict[type, Any]:
    """The cursors that are not in use, by their class."""
    spare: dict[type, Any] = connection.__dict__.setdefault("spare_cursors", {})
    return spare


class PlanningCursor(BindingCursor):
    def execute(self, query: Any, params: Any = None, **options: Any) -> Any:
        cursor = cast(Any, super())  # the stubs lack it
        return cursor.execute(query, params, prepare=False, **options)


class DatabaseWrapper(base.DatabaseWrapper):
    ops_class = DatabaseOperations

    def get_connection_params(self) -> dict[str, Any]:
        params = super().get_connection_params()
        adapters = AdaptersMap(params["context"].adapters if "context" in params else None)
        adapters.register_loader("timestamptz", UtcLoader)
        prepares = settings.DATABASE_POOLER != "transaction"
        threshold = PREPARE_THRESHOLD if prepares else None
        return {**params, "context": adapters, "prepare_threshold": threshold}

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

    def prepared_cursor(self) -> Any:
        """Like `cursor()`, for text that does not change. Values of jsonb columns are parsed."""
        return self.binary_cursor(prepared=True)

    def binary_cursor(self, *, prepared: bool) -> Any:
        """A `prepared_cursor`; or one whose statements PostgreSQL plans for each call's values."""
        self.close_if_health_check_failed()
        self.ensure_connection()
        # The stubs lack these internals of backends.
        wrapper = cast(Any, self)
        cursor_class = BindingCursor if prepared else PlanningCursor
        with self.wrap_database_errors:
            cursor = cursor_class.of(wrapper.connection)
            cursor.format = Format.BINARY
            return wrapper._prepare_cursor(cursor)


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
