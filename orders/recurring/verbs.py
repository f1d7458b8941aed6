"""Recurring orders: create, change, remove, and skip a day.

`values` are by the names of RecurringOrder's columns; `order` is JSON as `RecurringBody` reads it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from django.db import transaction
from django.db.models import Exists, OuterRef, Q
from django.utils import timezone

from fleet.models import ServiceArea
from orders import placement
from orders.api import placing
from orders.recurring.models import Occurrence, RecurringOrder
from orders.timing.window import MAX_AHEAD
from wingxtra.accounts.identity import Actor, ActorKind, Role
from wingxtra.problems import Conflict, FieldProblem, Invalid, NotFound

PLACER = Actor(ActorKind.SYSTEM, "recurring order")
# A closed day is a problem of that day, and not of the template.
OF_ONE_DAY = ("closed",)
# A change of these is no reason to place a day of the past.
TIMES = ("weekdays", "local_time", "starts_on", "ends_on")


@dataclass(slots=True)
class TemplateCaller:
    """The merchant of a template, as the caller who places its orders."""

    merchant_id: UUID | None
    live_mode: bool
    role: str = Role.MERCHANT
    actor: Actor = PLACER

    @property
    def is_authenticated(self) -> bool:
        return True


def caller_of(row: RecurringOrder) -> TemplateCaller:
    return TemplateCaller(row.merchant_id, row.live_mode)


# --- verbs ---------------------------------------------------------------------------------------


def create(
    merchant_id: UUID, values: Mapping[str, Any], *, live_mode: bool = True
) -> RecurringOrder:
    """A new template; its first orders are placed within a minute. It starts today, by the clock
    there, if `values` has no `starts_on`. Raises Invalid.
    """
    row = RecurringOrder(merchant_id=merchant_id, live_mode=live_mode, **values)
    if row.starts_on is None:
        row.starts_on = timezone.now().astimezone(ZoneInfo(_zone(row) or "UTC")).date()
    _check(row, _starts_late("starts_on", row.starts_on))
    row.save(force_insert=True)
    return row


def change(
    recurring_id: UUID, values: Mapping[str, Any], *, from_on: date | None = None
) -> RecurringOrder:
    """Change a template, from a day on if that is given; orders that are placed stay as they are.
    `pause` is a verb of its own.

    With a later `from_on` the template ends on the day before, and a new one goes on; returns the
    one that goes on. Raises Invalid and NotFound.
    """
    now = timezone.now()
    with transaction.atomic():
        row = locked(recurring_id)
        if from_on is not None and from_on > max(row.starts_on, _today(row, now)):
            row = _split(row, from_on, values, now)
        for name, value in values.items():
            setattr(row, name, value)
        _check(row)
        if any(name in values for name in TIMES):
            row.active_since = now
        row.next_due_at = now
        row.save()
    return row


def change_as_asked(recurring_id: UUID, asked: Mapping[str, Any]) -> RecurringOrder:
    """All that a `RecurringChange` asks for, in one transaction: `change` and `pause`. Returns the
    template that goes on. Raises Invalid and NotFound.
    """
    values = dict(asked)
    from_on, paused = values.pop("from_on", None), values.pop("paused", None)
    with transaction.atomic():
        if values or from_on is not None:
            row = change(recurring_id, values, from_on=from_on)
        else:
            row = locked(recurring_id)
        if paused is not None:
            row = pause(row.pk, paused=paused)
    return row


def pause(recurring_id: UUID, *, paused: bool) -> RecurringOrder:
    """Place no more orders, or place them again: days in between are not made up for. It is not
    checked again, so that a template whose place has become impossible can be paused. Raises
    NotFound.
    """
    with transaction.atomic():
        row = locked(recurring_id)
        if row.paused != paused:
            row.paused, row.active_since, row.next_due_at = paused, timezone.now(), timezone.now()
            row.save(update_fields=["paused", "active_since", "next_due_at"])
    return row


def remove(recurring_id: UUID) -> None:
    """Delete a template; its orders stay. Raises NotFound."""
    with transaction.atomic():
        locked(recurring_id).delete()


def skip(recurring_id: UUID, on: date) -> Occurrence:
    """Place no order for this day, today or later. Raises Conflict if one is placed, Invalid, and
    NotFound.
    """
    with transaction.atomic():
        row = locked(recurring_id)
        if on < _today(row, timezone.now()) or not row.schedule.has(on):
            message = f"“{row}” has no order to come on {on}."
            raise Invalid([FieldProblem("on", "no_occurrence", message)])
        found = Occurrence.objects.filter(recurring=row, on=on).first()
        if found and found.state == Occurrence.State.PLACED:
            raise Conflict(
                "already_placed",
                f"The order for {on} is placed already. Cancel the order.",
                order_id=str(found.order_id),
            )
        at, note = row.schedule.moment(on)
        values = {"at": at, "state": Occurrence.State.SKIPPED, "problems": [], "note": note}
        skipped, _ = Occurrence.objects.update_or_create(
            recurring=row, on=on, defaults={**values, "changed_at": timezone.now()}
        )
    return skipped


def unskip(recurring_id: UUID, on: date) -> None:
    """Place the order of a skipped day after all. Raises NotFound if the day is not skipped, or is
    over.
    """
    with transaction.atomic():
        row = locked(recurring_id)
        skipped = Occurrence.objects.filter(recurring=row, on=on, state=Occurrence.State.SKIPPED)
        skipped = skipped.filter(on__gte=_today(row, timezone.now()))
        if not skipped.delete()[0]:
            raise NotFound("skipped day")
        row.next_due_at = timezone.now()
        row.save(update_fields=["next_due_at"])


def follow_zone(row: RecurringOrder) -> None:
    """Take over the time zone of its service area, which may have changed; not without an area."""
    zone = _zone(row)
    if zone and zone != row.time_zone:
        row.time_zone = zone
        row.save(update_fields=["time_zone"])


def look_again(instance: ServiceArea, **_: Any) -> None:
    """Receiver of a saved service area: templates with another zone may be in it. The placer looks
    at them within a minute.
    """
    others = RecurringOrder.objects.exclude(time_zone=instance.time_zone)
    others.filter(next_due_at__isnull=False).update(next_due_at=timezone.now())


def forget_unused(before: date) -> int:
    """Delete the templates that ended before this day, and those that have placed nothing since:
    paused, refused, or of a merchant that is switched off. Personal data is in them.
    """
    since = Occurrence.objects.filter(recurring=OuterRef("pk"), on__gte=before)
    used = Exists(since.filter(state=Occurrence.State.PLACED))
    # Else a template with rare days would be deleted between two of them.
    stands_still = (
        Q(paused=True)
        | Q(merchant__active=False)
        | Q(Exists(since.filter(state=Occurrence.State.REFUSED)))
    )
    young = Q(created_at__date__gte=before) | Q(active_since__date__gte=before)
    idle = Q(starts_on__lt=before) & stands_still & ~young & ~used
    return RecurringOrder.objects.filter(Q(ends_on__lt=before) | idle).delete()[0]


def locked(recurring_id: UUID) -> RecurringOrder:
    """The template, locked until the transaction ends. Raises NotFound."""
    row = RecurringOrder.objects.select_for_update(no_key=True).filter(pk=recurring_id).first()
    if row is None:
        raise NotFound("recurring order")
    return row


# --- checks --------------------------------------------------------------------------------------


def _split(
    row: RecurringOrder, from_on: date, values: Mapping[str, Any], now: datetime
) -> RecurringOrder:
    """End the template before this day. Returns an unsaved copy from this day on, to which the days
    that are decided already belong.
    """
    if row.ends_on is not None and from_on > row.ends_on:
        message = f"It ends on {row.ends_on} already."
        raise Invalid([FieldProblem("from_on", "window_invalid", message)])
    if late := _starts_late("from_on", from_on):
        raise Invalid(late)
    copied = {
        field.attname: getattr(row, field.attname)
        for field in RecurringOrder._meta.concrete_fields
        if field.attname not in ("id", "created_at", "starts_on")
    }
    later = RecurringOrder(**{**copied, "starts_on": from_on})
    later.save(force_insert=True)
    Occurrence.objects.filter(recurring=row, on__gte=from_on).update(recurring=later)
    row.ends_on, row.next_due_at = from_on - timedelta(days=1), now
    row.save(update_fields=["ends_on", "next_due_at"])
    return later


def _today(row: RecurringOrder, now: datetime) -> date:
    return now.astimezone(row.schedule.zone).date()


def _starts_late(field: str, day: date) -> list[FieldProblem]:
    if day <= (timezone.now() + MAX_AHEAD).date():
        return []
    message = "A recurring order can start up to a year ahead, no further."
    return [FieldProblem(field, "window_invalid", message)]


def _check(row: RecurringOrder, known: Sequence[FieldProblem] = ()) -> None:
    """Check the order as if it were placed now, and take over the time zone of its service area.
    Raises Invalid with these problems and those that `known` has.
    """
    problems = [*known]
    if row.ends_on is not None and row.ends_on < row.starts_on:
        message = "The last day lies before the first one."
        problems.append(FieldProblem("ends_on", "window_invalid", message))
    draft = placing.draft(caller_of(row), row.order)
    (found,) = placement.check_many([draft])
    problems += [
        FieldProblem(f"order.{one.field}", one.code, one.message)
        for one in found
        if one.code not in OF_ONE_DAY
    ]
    if problems:
        raise Invalid(problems)
    row.time_zone = draft.order.service_area.time_zone


def _zone(row: RecurringOrder) -> str:
    """The time zone of the service area of its order now, empty without one."""
    draft = placing.draft(caller_of(row), row.order)
    placement.check_many([draft])
    return draft.order.service_area.time_zone if draft.order.service_area_id else ""
