"""Django's PostgreSQL backend, with a cheaper connection check and prepared statements.

- A pooled connection is checked with poll() instead of `SELECT 1`. A connection that the server has
  closed is readable (end of stream); one with nothing to read is alive. Django's own check is a
  round trip, which would be the third for a call that needs two.
- `prepared_cursor` is for statements whose text does not change (`database.statements`). PostgreSQL
  binds their parameters, prepares them after two uses, and answers in binary. Django's own
  cursors put the values into the text and never prepare. They stay in use for everything
  else. A search, whose best plan depends on the values, is bound, too, and never prepared.
"""

import select
from functools import lru_cache
from typing import Any, cast

import psycopg
from django.db.backends.postgresql import base, operations
from psycopg import Connection
from psycopg._queries import PostgresQuery, _query2pg_nocache
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
        return {**super().get_connection_params(), "prepare_threshold": PREPARE_THRESHOLD}

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
        cursor_class = cast(Any, BindingCursor if prepared else PlanningCursor)
        with self.wrap_database_errors:
            cursor = cursor_class(wrapper.connection)
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
