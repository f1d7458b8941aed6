"""Items for rows of the database: each row its own, and one item that counts what is too much."""

from collections.abc import Callable, Iterator
from typing import TypeVar

from django.db.models import CharField, Exists, Model, OuterRef, QuerySet, Value
from django.db.models.functions import Cast, Concat
from django.utils import timezone

from wingxtra.console.models import Acknowledgement
from wingxtra.console.registry import Attention

Row = TypeVar("Row", bound=Model)

# More rows of one source are counted by the database, not loaded.
MAX_EACH = 1000


def each(rows: QuerySet[Row], item: Callable[[Row], Attention | None]) -> Iterator[Attention]:
    """An item per row, or none; `rows` have the worst first. One more item stands for those after
    MAX_EACH.

    One statement, and a second one for the count.
    """
    found = list(rows[: MAX_EACH + 1])
    items = [made for row in found[:MAX_EACH] if (made := item(row))]
    yield from items
    if len(found) > MAX_EACH and items:
        last = items[-1]
        rest = rows.count() - MAX_EACH
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


def unseen(rows: QuerySet[Row], prefix: str) -> QuerySet[Row]:
    """Without the rows whose item was seen, or is covered as a part of another item until a time.

    `prefix`: what its key has before the row's id.
    """
    key = Concat(Value(prefix), Cast(OuterRef("pk"), CharField()))
    return rows.filter(~Exists(Acknowledgement.objects.standing(timezone.now()).filter(key=key)))
