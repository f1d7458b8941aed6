"""Places the orders of templates ahead of their days: each day once, also after a crash."""

from datetime import date, datetime, timedelta
from typing import Any
from uuid import UUID

import structlog
from django.db import transaction
from django.utils import timezone

from orders.api import placing
from orders.recurring import verbs
from orders.recurring.models import Occurrence, RecurringOrder
from wingxtra.problems import Conflict, FieldProblem, Invalid, NotFound

log = structlog.get_logger(__name__)

AT_MOST = 500  # templates of one pass; the next one takes the others
# A day that could not be placed is tried again this often until its time has come.
RETRY = timedelta(minutes=15)
# After an outage an order is still placed this long after its time, and then no more.
LATE = timedelta(hours=1)
# Days that were missed longer ago are not looked for.
LOOK_BACK = timedelta(days=2)
State = Occurrence.State


def place_due(now: datetime) -> tuple[int, int]:
    """Place the orders that are due. Returns how many were placed, and how many templates failed.

    A failure is logged, does not stop the others, and is tried again in the next pass.
    """
    due = RecurringOrder.objects.filter(
        paused=False, next_due_at__lte=now, merchant__active=True
    ).order_by("next_due_at")
    placed = failed = 0
    for recurring_id in due.values_list("pk", flat=True)[:AT_MOST]:
        try:
            placed += _place(recurring_id, now)
        except Exception as error:  # noqa: BLE001 (the database, or any receiver of the event)
            # Without the message: a database error quotes the row, which is personal data.
            error_type = type(error).__name__
            log.error("recurring_not_placed", recurring_id=str(recurring_id), error=error_type)
            failed += 1
    return placed, failed


def _place(recurring_id: UUID, now: datetime) -> int:
    row = RecurringOrder.objects.get(pk=recurring_id)
    verbs.follow_zone(row)
    done = [place_one(row.pk, on, now) for on in open_days(row, now, until=_horizon(row, now))]
    row.next_due_at = next_due(row, now)
    RecurringOrder.objects.filter(pk=row.pk, next_due_at__lte=now).update(
        next_due_at=row.next_due_at
    )
    return sum(1 for one in done if one and one.state == State.PLACED)


def place_one(recurring_id: UUID, on: date, now: datetime) -> Occurrence | None:
    """Place the order of one day, or write down why that is not possible; None if the day is
    decided already or the template has it no more.

    Order and occurrence are one transaction, and a day has one occurrence at most: so a crash or a
    second worker never places twice.
    """
    with transaction.atomic():
        try:
            row = verbs.locked(recurring_id)
        except NotFound:
            return None
        found = Occurrence.objects.filter(recurring=row, on=on).first()
        is_decided = found is not None and found.state != State.REFUSED
        if row.paused or is_decided or not row.schedule.has(on):
            return None
        at, note = row.schedule.moment(on)
        occurrence = found or Occurrence(recurring=row, on=on, at=at)
        occurrence.at, occurrence.note, occurrence.changed_at = at, note, timezone.now()
        _try(row, occurrence, now)
        occurrence.save()
    return occurrence


def _try(row: RecurringOrder, occurrence: Occurrence, now: datetime) -> None:
    problems: list[FieldProblem] = []
    if occurrence.at < now - LATE:
        message = "It was not placed in time: we were not working, or not reachable."
        problems = [FieldProblem("", "missed", message)]
    else:
        starts = {"not_before": occurrence.at.isoformat()} if occurrence.at > now else {}
        try:
            with transaction.atomic():
                occurrence.order = placing.place(verbs.caller_of(row), {**row.order, **starts})
        except Invalid as refused:
            problems = refused.errors
        except Conflict as refused:
            problems = [FieldProblem("", refused.code, refused.detail)]
    occurrence.state = State.REFUSED if problems else State.PLACED
    occurrence.problems = [_json(problem) for problem in problems]


def _json(problem: FieldProblem) -> dict[str, Any]:
    until = problem.until.isoformat() if problem.until else None
    return {
        "field": problem.field,
        "code": problem.code,
        "message": problem.message,
        "until": until,
    }


# --- what is due ---------------------------------------------------------------------------------


def open_days(row: RecurringOrder, now: datetime, *, until: datetime) -> list[date]:
    """The days up to `until` that are not decided; refused ones until their time has come."""
    since = max(row.active_since, now - LOOK_BACK)
    days = []
    for day in row.schedule.days_from(since):
        if row.schedule.moment(day)[0] > until:
            break
        days.append(day)
    rows = Occurrence.objects.filter(recurring=row, on__in=days)
    tried = {one.on for one in rows if one.state == State.REFUSED}
    decided = {one.on for one in rows} - tried
    decided |= {day for day in tried if row.schedule.moment(day)[0] <= now}
    return [day for day in days if day not in decided]


def next_due(row: RecurringOrder, now: datetime) -> datetime | None:
    """When the template has to be looked at again; None: never."""
    if open_days(row, now, until=_horizon(row, now)):
        return now + RETRY
    later = next(row.schedule.days_from(_horizon(row, now) + timedelta(microseconds=1)), None)
    if later is None:
        return None
    return row.schedule.moment(later)[0] - timedelta(hours=row.hours_ahead)


def _horizon(row: RecurringOrder, now: datetime) -> datetime:
    return now + timedelta(hours=row.hours_ahead)
