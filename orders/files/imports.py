"""Orders from a file: checked row by row, then placed together.

A file is kept for a day under its caller, in Redis, where personal data goes by itself. A row is
checked as `POST /orders` checks its body. Each row has the order's id from the start: it is made
from the ids of import and row, so a second confirmation finds the orders and places none.
"""

import uuid
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any
from uuid import UUID

import msgspec
from django.db import transaction
from rest_framework import serializers

from orders import lifecycle, placement, unit_of_work
from orders.api import placing
from orders.api.serializers import NewOrder
from orders.files import reading
from orders.models import Order
from wingxtra import redis_client
from wingxtra.accounts.identity import Caller
from wingxtra.api.serializers import Number
from wingxtra.problems import Conflict, FieldProblem, Invalid, NotFound

KEPT_FOR = timedelta(days=1)
# A field of another kind takes an object of texts.
ONE_CELL = (
    serializers.CharField,
    serializers.ChoiceField,
    serializers.DateTimeField,
    serializers.FloatField,
    serializers.UUIDField,
)
_FIELDS = NewOrder().fields
REQUIRED = tuple(name for name, one in _FIELDS.items() if one.required)


def columns_of(fields: Mapping[str, serializers.Field[Any, Any, Any, Any]]) -> reading.Columns:
    """The columns for these fields of a serializer, whose members may be serializers."""
    names, numbers, objects = [], set(), []
    for name, one in fields.items():
        if isinstance(one, serializers.Serializer):
            inner = columns_of(one.fields)
            names += [f"{name}.{each}" for each in inner.names]
            numbers |= {f"{name}.{each}" for each in inner.numbers}
        elif isinstance(one, ONE_CELL):
            names.append(name)
        else:
            objects.append(name)
        if isinstance(one, Number):
            numbers.add(name)
    return reading.Columns(tuple(names), frozenset(numbers), tuple(objects))


COLUMNS = columns_of(_FIELDS)


class Upload(msgspec.Struct, frozen=True):
    """`content`: the file, compressed."""

    id: UUID
    name: str
    content: bytes


@dataclass(frozen=True, slots=True)
class Row:
    """`number`: line of a CSV file, place in a JSON list. `placed`: it is an order already."""

    number: int
    order: Order
    problems: list[FieldProblem]
    placed: bool = False


@dataclass(frozen=True, slots=True)
class Preview:
    """What a confirmation would do now; `placed` is what an earlier one did."""

    id: UUID
    name: str
    rows: list[Row]

    @property
    def good(self) -> list[Row]:
        return [row for row in self.rows if not row.problems and not row.placed]

    @property
    def bad(self) -> list[Row]:
        return [row for row in self.rows if row.problems]

    @property
    def placed(self) -> list[Row]:
        return [row for row in self.rows if row.placed]


class NotPlaced(Conflict):
    """Rows have problems, and the caller wants all rows or none."""

    def __init__(self, preview: Preview) -> None:
        bad, rows = len(preview.bad), len(preview.rows)
        detail = f"Nothing was placed: {bad} of {rows} rows have problems."
        super().__init__("rows_have_problems", detail)
        self.preview = preview


# --- verbs ---------------------------------------------------------------------------------------


def keep(name: str, content: bytes, caller: Caller) -> UUID:
    """Keep a file for its preview, in place of the caller's last one. Returns the import's id.

    Raises Unreadable.
    """
    _read(content)
    upload = Upload(uuid.uuid4(), name[:200], zlib.compress(content))
    redis_client.client().set(_key(caller), msgspec.json.encode(upload), ex=KEPT_FOR)
    return upload.id


def preview(import_id: UUID, caller: Caller) -> Preview:
    """Every problem of every row, as the API reports them. Raises NotFound: the file is not kept
    any more, or another one took its place.
    """
    upload = _kept(import_id, caller)
    return Preview(upload.id, upload.name, _checked(upload, caller))


def place(import_id: UUID, caller: Caller, *, only_good: bool) -> Preview:
    """Place the rows: those without problems, or without `only_good` all of them or none.

    Returns the rows as they are now; `otp_code` is set on the orders that were placed just now, and
    cannot be read again. Raises NotFound, and NotPlaced with the rows.
    """
    found = preview(import_id, caller)
    with transaction.atomic():
        _refuse_bad(found, only_good)
        new = lifecycle.place_many([row.order for row in found.good], by=caller.actor)
        found = replace(found, rows=_after(found.rows, new))
        _refuse_bad(found, only_good)
    return found


def _refuse_bad(found: Preview, only_good: bool) -> None:
    if found.bad and not only_good:
        raise NotPlaced(found)


# --- rows ----------------------------------------------------------------------------------------


def _checked(upload: Upload, caller: Caller) -> list[Row]:
    read = _read(zlib.decompress(upload.content))
    drafts = [_draft(upload, row, caller) for row in read]
    placed = _existing([draft.order for draft in drafts])
    waiting = [draft for draft in drafts if draft.order.pk not in placed]
    ids = [draft.order.pk for draft in waiting]
    problems = dict(zip(ids, placement.check_many(waiting), strict=True))
    repeated = _repeated(read, drafts)
    rows = []
    for row, draft in zip(read, drafts, strict=True):
        pk = draft.order.pk
        if pk in placed:
            rows.append(Row(row.number, placed[pk], [], placed=True))
        else:
            found = [*problems[pk], *repeated.get(row.number, [])]
            rows.append(Row(row.number, draft.order, found))
    return rows


def _draft(upload: Upload, row: reading.Row, caller: Caller) -> placement.Draft:
    if row.problems:
        draft = placement.Draft(Order(), row.problems)
    else:
        draft = placing.draft(caller, row.values)
    draft.order.pk = uuid.uuid5(upload.id, str(row.number))
    return draft


def _repeated(
    rows: Sequence[reading.Row], drafts: Sequence[placement.Draft]
) -> dict[int, list[FieldProblem]]:
    """A problem for each row whose `external_id` an earlier row of the file has."""
    first: dict[str, int] = {}
    problems = {}
    for row, draft in zip(rows, drafts, strict=True):
        external_id = draft.order.external_id
        if not external_id:
            continue
        number = first.setdefault(external_id, row.number)
        if number != row.number:
            message = f"Row {number} of this file has the external_id “{external_id}” already."
            problems[row.number] = [FieldProblem("external_id", "duplicate_external_id", message)]
    return problems


def _after(rows: Sequence[Row], new: Sequence[Order]) -> list[Row]:
    """The rows after `new` were placed. A row that could be placed before and was not is an order
    of a second confirmation that ran at the same time, or something else came in between.
    """
    written = {order.pk for order in new}
    existing = _existing([row.order for row in rows if row.order.pk not in written])
    after = []
    for row in rows:
        if row.order.pk in written:
            after.append(replace(row, placed=True))
        elif row.order.pk in existing:
            after.append(replace(row, order=existing[row.order.pk], placed=True))
        elif row.problems:
            after.append(row)
        else:
            after.append(replace(row, problems=_why_not_written(row.order)))
    return after


def _why_not_written(order: Order) -> list[FieldProblem]:
    why = unit_of_work.why_not_written(order)
    return why.errors if isinstance(why, Invalid) else [placement.of_external_id(why)]


def _existing(orders: Sequence[Order]) -> dict[UUID, Order]:
    return Order.objects.in_bulk([order.pk for order in orders])


# --- the kept file -------------------------------------------------------------------------------


def _read(content: bytes) -> list[reading.Row]:
    return reading.read(content, COLUMNS)


def _kept(import_id: UUID, caller: Caller) -> Upload:
    stored = redis_client.client().get(_key(caller))
    upload = msgspec.json.decode(stored, type=Upload) if stored else None
    if upload is None or upload.id != import_id:
        raise NotFound("file any more. Only your last one is kept, for a day: upload it again")
    return upload


def _key(caller: Caller) -> str:
    mode = "live" if caller.live_mode else "test"
    return f"import:{caller.merchant_id}:{mode}:{caller.actor}"
