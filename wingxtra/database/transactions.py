"""Transactions."""

from contextlib import AbstractContextManager, nullcontext

from django.db import connection, transaction


def taken_part_in() -> AbstractContextManager[None]:
    """The caller's transaction, or one of its own.

    For work that has written nothing when it refuses: a caller that goes on then has nothing to
    undo. So it needs no savepoint, which costs two statements.
    """
    return nullcontext() if connection.in_atomic_block else transaction.atomic()


def of_one_statement() -> AbstractContextManager[None]:
    """A savepoint in the caller's transaction, which goes on when the statement fails.

    Without one nothing: the statement is a transaction of its own, and BEGIN and COMMIT would cost
    a round trip each.
    """
    return transaction.atomic() if connection.in_atomic_block else nullcontext()
