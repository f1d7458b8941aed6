"""Django's PostgreSQL backend, with what its pool and its cursors leave out.

- A pooled connection is looked at before it is used. One that the server closed has the end of the
  stream waiting to be read; one with nothing to read is as good as asked. Django's own check always
  asks, which is a third round trip for a call that needs two.
- `prepared_cursor` is for statements whose text does not change (`database.statements`): PostgreSQL
  binds their parameters, prepares them at their second use, and answers in binary, which neither
  side has to spell out or to read. Django's own cursors put the values into the text and never
  prepare, and everything else stays with them: above all searches, whose best plan depends on what
  is searched for.
"""

import select
from typing import Any, cast

import psycopg
from django.db.backends.postgresql import base, operations
from psycopg import Connection
from psycopg.pq import Format
from psycopg_pool import ConnectionPool

# How often a text is sent before PostgreSQL is asked to keep its plan.
PREPARE_THRESHOLD = 2


class DatabaseOperations(operations.DatabaseOperations):
    def last_executed_query(self, cursor: Any, sql: str, params: Any) -> Any:
        """With its values, also when a cursor sent them apart from it."""
        if isinstance(cursor, base.ServerBindingCursor):
            return self.compose_sql(sql, params)
        return super().last_executed_query(cursor, sql, params)


class DatabaseWrapper(base.DatabaseWrapper):
    ops_class = DatabaseOperations

    def get_connection_params(self) -> dict[str, Any]:
        return {**super().get_connection_params(), "prepare_threshold": PREPARE_THRESHOLD}

    def get_new_connection(self, conn_params: dict[str, Any]) -> Any:
        """One that is alive. Raises OperationalError as ever, also when all in the pool have died
        and no other can be had in time.
        """
        connection = super().get_new_connection(conn_params)
        while self.pool and not _is_alive(connection):
            connection.close()
            self.pool.putconn(connection)  # it makes a new one in the place of one that is closed
            connection = super().get_new_connection(conn_params)
        return connection

    def prepared_cursor(self) -> Any:
        """Like `cursor()`, for text that does not change. What it finds in a jsonb column is
        parsed already.
        """
        self.close_if_health_check_failed()
        self.ensure_connection()
        # What backends are made of is not in the types.
        wrapper, cursor_class = cast(Any, self), cast(Any, base.ServerBindingCursor)
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
