"""Items for rows of the database: each row its own, and one item that counts what is too much."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Generic, TypeVar

from django.db.models import CharField, Exists, Model, OuterRef, QuerySet, Value
from django.db.models.functions import Cast, Concat

from wingxtra.console.look import Look, Rows
from wingxtra.console.models import Acknowledgement
from wingxtra.console.registry import Attention

Row = TypeVar("Row", bound=Model)

# More rows of one source are counted by the database, not loaded.
MAX_EACH = 1000


@dataclass(frozen=True, slots=True)
class Worst(Generic[Row]):
    """The first `most` rows of a queryset that has the worst first, and one row more if there are
    more.
    """

    of: Rows[Row]
    most: int

    def __call__(self, now: datetime) -> QuerySet[Row, Row]:
        return self.of(now)[: self.most + 1]


def worst(*querysets: Rows[Any]) -> tuple[Worst[Any], ...]:
    """The `reads` of a source that makes items of their rows by `each`."""
    return tuple(Worst(of, MAX_EACH) for of in querysets)


def each(look: Look, of: Rows[Row], item: Callable[[Row], Attention | None]) -> Iterator[Attention]:
    """An item per row of `worst(of)`, or none. One more item stands for those after MAX_EACH: they
    take a statement, which counts them.
    """
    found = look.rows(Worst(of, MAX_EACH))
    items = [made for row in found[:MAX_EACH] if (made := item(row))]
    yield from items
    if len(found) > MAX_EACH and items:
        last = items[-1]
        rest = of(look.at).count() - MAX_EACH
        yield Attention(
            key=f"{last.cause}:rest",
            level=last.level,
            text=f"{rest} more",
            tone=last.tone,
            cause=last.cause,
            many=last.many,
            all_url=last.all_url,
            is_symptom=last.is_symptom,
            count=rest,
            until_seen=last.until_seen,
        )


def unseen(rows: QuerySet[Row], prefix: str, now: datetime) -> QuerySet[Row]:
    """Without the rows whose item was seen, or is covered as a part of another item until a time.

    `prefix`: what its key has before the row's id.
    """
    key = Concat(Value(prefix), Cast(OuterRef("pk"), CharField()))
    return rows.filter(~Exists(Acknowledgement.objects.standing(now).filter(key=key)))
