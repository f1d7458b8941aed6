"""Connections that wait for an answer for a limited time.

PostgreSQL ends a slow statement itself (`statement_timeout`), but not when it hangs: its process is
stopped, its disk stalls, the network drops its packets. Then the caller must give up.
"""

from typing import Any

import psycopg
from django.conf import settings
from psycopg import Connection
from psycopg.pq import TransactionStatus

# PostgreSQL is given this much longer than its own limit: its error is the better one.
GRACE_S = 2.0


class ImpatientConnection(Connection[Any]):
    """Raises OperationalError after DATABASE_ANSWER_WITHIN_S and closes, because a late answer must
    not be read as that to another statement. The statement may still be carried out.
    """

    def wait(self, gen: Any, interval: float = 0.1, timeout: float | None = None) -> Any:
        within_s = settings.DATABASE_ANSWER_WITHIN_S
        if timeout is not None or not within_s:
            return super().wait(gen, interval, timeout)
        try:
            return super().wait(gen, interval, within_s + GRACE_S)
        except psycopg.OperationalError as error:
            if self.pgconn.transaction_status != TransactionStatus.ACTIVE:
                raise
            self.close()
            message = f"PostgreSQL has not answered within {within_s + GRACE_S:g} s."
            raise psycopg.OperationalError(message) from error
