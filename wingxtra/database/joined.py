"""Several statements as one, for what needs rows of many kinds."""

from collections.abc import Sequence
from functools import cached_property
from typing import Any

from wingxtra.database.statements import Compiled, PlannedStatement, Statement


class Joined(Statement[tuple[int, Any]]):
    """Reads the rows of statements; those that have the same parameter name it alike. A row of it:
    which statement it is of, and that statement's row.

    Each is a part of a UNION ALL. The parts have different columns, so PostgreSQL packs each row
    into one value, a record. Its binary form has the types of its columns: psycopg reads them as it
    reads columns, but in Python. So it is for few rows.
    """

    def __init__(self, statements: Sequence[Statement[Any]]) -> None:
        super().__init__(_not_compiled)
        self._statements = statements

    def lists(self, **values: Any) -> list[list[Any]]:
        """The rows of each statement, in their order."""
        found: list[list[Any]] = [[] for _ in self._statements]
        for number, row in self.all(**values):
            found[number].append(row)
        return found

    @cached_property
    def compiled(self) -> Compiled:
        parts = [one.compiled for one in self._statements]
        # The SQL is Django's own.
        sql = " UNION ALL ".join(
            f"SELECT {number}, part_{number} FROM ({part.sql}) AS part_{number}"  # noqa: S608
            for number, part in enumerate(parts)
            if part.sql
        )
        places = [place for part in parts for place in part.places]

        def to_object(row: Sequence[Any]) -> tuple[int, Any]:
            number, record = row
            return number, parts[number].to_object(record)

        return Compiled(sql, places, to_object)


class PlannedJoined(Joined, PlannedStatement[tuple[int, Any]]):
    """A Joined that PostgreSQL plans anew for each call's values. With many statements, the plan
    for any values takes many times longer.
    """


def _not_compiled() -> Any:
    raise AssertionError("Its parts are compiled instead.")
