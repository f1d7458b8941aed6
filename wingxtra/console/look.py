"""One look at everything that the console tells of: each thing is read once for all who need it."""

from collections.abc import Callable, Iterable
from datetime import datetime
from functools import lru_cache
from typing import Any, Protocol, TypeVar, cast

from django.db.models import QuerySet

from wingxtra.database.joined import PlannedJoined
from wingxtra.database.statements import PlannedStatement

T = TypeVar("T")
Row = TypeVar("Row")
Row_co = TypeVar("Row_co", covariant=True)


class Rows(Protocol[Row_co]):
    """A function: the queryset at a time. See `Statement`: it is called once and compiled, so it
    may add a timedelta to the time, and must not ask the clock.
    """

    def __call__(self, now: datetime) -> QuerySet[Any, Row_co]: ...

    def __hash__(self) -> int: ...


class Look:
    """What is true at the time `at`. `ahead`: querysets whose rows will be asked for; the first
    that is needed reads all of them, in one statement.
    """

    def __init__(self, at: datetime, ahead: Iterable[Rows[Any]] = ()) -> None:
        self.at = at
        self._ahead = tuple(dict.fromkeys(ahead))
        self._rows: dict[Rows[Any], list[Any]] = {}
        self._facts: dict[Callable[[Look], Any], Any] = {}
        self._raised: dict[Callable[[Look], Any], Exception] = {}

    def rows(self, of: Rows[Row]) -> list[Row]:
        """The rows of the queryset `of(at)`. One that was not announced is read on its own."""
        if self._ahead:
            read = _joined(self._ahead).lists(now=self.at)
            self._rows, self._ahead = dict(zip(self._ahead, read, strict=True)), ()
        if of not in self._rows:
            self._rows[of] = _statement(of).all(now=self.at)
        return self._rows[of]

    def once(self, read: Callable[["Look"], T]) -> T:
        """What `read(look)` returns, called once. What it raises, it raises for each caller."""
        if read in self._raised:
            raise self._raised[read]
        if read not in self._facts:
            try:
                self._facts[read] = read(self)
            except Exception as error:
                self._raised[read] = error
                raise
        return cast(T, self._facts[read])


@lru_cache(maxsize=200)
def _statement(of: Rows[Any]) -> PlannedStatement[Any]:
    return PlannedStatement(of, now=datetime)


@lru_cache(maxsize=20)
def _joined(ahead: tuple[Rows[Any], ...]) -> PlannedJoined:
    return PlannedJoined([_statement(of) for of in ahead])
