"""Transactions."""

from contextlib import AbstractContextManager, nullcontext

from django.db import connection, transaction


def taken_part_in() -> AbstractContextManager[None]:
    """The caller's transaction, or one of its own.

    For work that has written nothing when it refuses: a caller that goes on then has nothing to
    undo. So it needs no savepoint, which costs two statements.
    """
    return nullcontext() if connection.in_atomic_block else transaction.atomic()
