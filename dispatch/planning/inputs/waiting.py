"""Reads the orders that a plan is for. Each statement is compiled once."""

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any
from uuid import UUID

from django.db.models import F, Q

from dispatch.models import Mission, MissionPart
from dispatch.planning import eligibility
from dispatch.planning.limits import ready
from fleet.feasibility.rules import Rules
from fleet.models import ServiceArea
from orders.models import EVENT_MARGIN, Order, OrderQuerySet, WaitingOrder
from orders.models.waiting import WAITING, WITH_ITS_JOB
from orders.states import FLOWN_FROM, EventType, JobStatus, Status
from wingxtra.accounts.identity import ActorKind
from wingxtra.database.statements import Statement


def queued(
    area_ids: Iterable[UUID],
    rules: Rules,
    now: datetime,
    *,
    only: Sequence[UUID] | None = None,
    to_pickup: timedelta = ready.TO_PICKUP_AT_MOST,
) -> list[WaitingOrder]:
    """The queued orders of these areas that may be planned, by id. only: those of them. to_pickup:
    as in `ready_for`.
    """
    areas = list(area_ids)
    if only is None:
        rows = _queued(rules, to_pickup).all(area_ids=areas, now=now)
    else:
        rows = _some_queued(rules, to_pickup).all(area_ids=areas, now=now, order_ids=list(only))
    return [WaitingOrder(*row) for row in rows]


def unsent(area_ids: Iterable[UUID]) -> list[WaitingOrder]:
    """Orders that dispatch assigned and whose mission was never sent: they may get a better drone.
    Manual assignments are left alone. By id.
    """
    return [WaitingOrder(*row) for row in _UNSENT.all(area_ids=list(area_ids))]


def areas(rules: Rules, now: datetime) -> list[UUID]:
    """The ids of the service areas that have such orders, or assigned ones with an unsent mission,
    and where dispatch is not paused.
    """
    return [pk for (pk,) in _areas(rules).all(now=now)]


def _may_be_planned(rules: Rules, now: datetime, to_pickup: timedelta) -> OrderQuerySet:
    near = Order.objects.dispatchable().ready_for(rules, now, to_pickup)
    return eligibility.may_be_planned(near)


# The rules decide what the SQL is; they change seldom.
@lru_cache(maxsize=8)
def _queued(rules: Rules, to_pickup: timedelta) -> Statement[Any]:
    return Statement(
        lambda area_ids, now: (
            _may_be_planned(rules, now, to_pickup)
            .filter(service_area__id__among=area_ids)
            .order_by("pk")
            .values_list(*WAITING)
        ),
        area_ids=list,
        now=datetime,
    )


@lru_cache(maxsize=8)
def _some_queued(rules: Rules, to_pickup: timedelta) -> Statement[Any]:
    return Statement(
        lambda area_ids, now, order_ids: (
            _may_be_planned(rules, now, to_pickup)
            .filter(service_area__id__among=area_ids, pk__among=order_ids)
            .order_by("pk")
            .values_list(*WAITING)
        ),
        area_ids=list,
        now=datetime,
        order_ids=list,
    )


_never_sent = MissionPart.objects.filter(
    mission__in=Mission.objects.never_tried(), order__status=Status.ASSIGNED
)


@lru_cache(maxsize=8)
def _areas(rules: Rules) -> Statement[Any]:
    def with_work(now: datetime) -> Any:
        waiting = _may_be_planned(rules, now, ready.TO_PICKUP_AT_MOST).values("service_area_id")
        areas = ServiceArea.objects.filter(
            Q(pk__in=waiting) | Q(pk__in=_never_sent.values("order__service_area_id")),
            active=True,
            dispatch_paused=False,
        )
        return areas.order_by("pk").values_list("pk")

    return Statement(with_work, now=datetime)


def _may_be_replanned(area_ids: Any) -> Any:
    by_dispatch = _never_sent.filter(
        order__service_area__id__among=area_ids,
        order__holder__in=FLOWN_FROM,
        job__status=JobStatus.ACTIVE,
        job__events__type__in=(EventType.ASSIGNED, EventType.REASSIGNED),
        job__events__actor_kind=ActorKind.DISPATCHER,
        job__events__created_at__gte=F("job__created_at") - EVENT_MARGIN,
    )
    orders = Order.objects.filter(pk__in=by_dispatch.values("order_id"))
    return orders.order_by("pk").values_list(*WITH_ITS_JOB)


_UNSENT = Statement(_may_be_replanned, area_ids=list)
