"""Unclear parcels, flights and missions on the dashboard, with the actions that end them."""

from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from typing import Any

from django.db.models import Count, Exists, OuterRef, Q, QuerySet, Subquery
from django.db.models.functions import Coalesce
from django.urls import reverse

from dispatch.console.attention import missions, of_order
from dispatch.console.orders.parcel_actions import awaits_answer
from dispatch.console.presentation import words_of
from dispatch.console.sightings import Sightings, hubs, sightings
from dispatch.models import Discrepancy, Mission, MissionPart, PublishingPause
from orders.console.attention import RANK, by_rank, listed
from orders.models import DeliveryJob, Order
from orders.states import IN_FLIGHT, WITH_A_JOB, JobStatus, Status
from wingxtra.console import actions
from wingxtra.console.attention.counting import each, worst
from wingxtra.console.look import Look
from wingxtra.console.registry import Attention, AttentionSource, Button, Tone
from wingxtra.sentences import sentence

# In this time ground control or telemetry often reports that a mission is over.
GRACE_PERIOD = timedelta(minutes=1)
BEFORE_LAUNCH = (Status.ASSIGNED, Status.MISSION_SUBMITTED)

Code = Discrepancy.Code
# Actions that state where a parcel is; each is offered if the order's state allows it.
PARCEL_ANSWERS = ("delivered", "at-hub", "never-left", "given-back", "lost", "correct")
FLIGHT_ANSWERS = ("delivered", "failed")
STOP_ACTIONS = ("requeue", "abort")
REMEDIES: dict[str, tuple[str, ...]] = {
    Code.UNCLEAR_LANDING: (*FLIGHT_ANSWERS, *PARCEL_ANSWERS[1:]),
    Code.AT_THE_DROP: FLIGHT_ANSWERS,
    Code.STANDS_AT_HUB: (*FLIGHT_ANSWERS, "requeue"),
    Code.EARLY_REPORT: (*FLIGHT_ANSWERS, "abort"),
    Code.DELIVERED_AFTER_END: ("delivered", "correct", "abort"),
    Code.FLIES_AFTER_END: ("mission-over", "abort"),
    Code.FAILED_AFTER_DELIVERY: (*FLIGHT_ANSWERS, "correct"),
    Code.AIRSPACE: STOP_ACTIONS,
    Code.WEATHER: STOP_ACTIONS,
    Code.BATTERY: STOP_ACTIONS,
}
# Settled automatically when their cause ends.
SELF_SETTLING = (Code.AIRSPACE, Code.WEATHER, Code.BATTERY)
SETTLED_BY_ANSWERS = (
    Code.EARLY_REPORT,
    Code.UNCLEAR_LANDING,
    Code.AT_THE_DROP,
    Code.STANDS_AT_HUB,
)


def standing(now: datetime) -> QuerySet[Discrepancy]:
    return Discrepancy.objects.filter(settled_at__isnull=True)


def doubts(now: datetime) -> QuerySet[Any]:
    """With `may_fly`: whether a mission of its order can be in the air."""
    may_fly = Exists(MissionPart.objects.live().filter(order=OuterRef("order")))
    rows = standing(now).annotate(may_fly=may_fly).select_related("order", "job")
    return rows.order_by(by_rank("order__"), "raised_at")


def questions(now: datetime) -> QuerySet[Any]:
    """Orders without a standing discrepancy, with `last_drone_id` and `last_ended_because`."""
    asked = Order.objects.awaiting_staff().exclude(pk__in=standing(now).values("order"))
    last_job = DeliveryJob.objects.filter(order=OuterRef("pk")).order_by("-attempt")
    rows = asked.annotate(
        last_drone_id=Subquery(last_job.values("drone")[:1]),
        last_ended_because=Subquery(last_job.values("ended_because")[:1]),
    )
    return rows.order_by(by_rank(), "holder_since")


def parcels_and_flights(look: Look) -> Iterator[Attention]:
    """Orders with standing discrepancies, and orders whose parcel's location is unknown."""
    yield from each(look, doubts, lambda doubt: _doubt(doubt, look.once(sightings)))
    yield from each(look, questions, lambda order: _question(order, look.once(sightings)))


def _doubt(doubt: Any, seen: Sightings) -> Attention:
    order, code = doubt.order, Code(doubt.code)
    return Attention(
        key=f"doubt:{doubt.pk}",
        level=34 - RANK[order.priority],
        text=f"{code.label}: order {order} with {doubt.job.drone_id}",
        detail=f"{sentence(doubt.message)} {seen.where_is(doubt.job.drone_id, order)}".strip(),
        since=doubt.raised_at,
        tone=Tone.BAD,
        remedies=remedies_of(doubt, may_fly=doubt.may_fly),
        cause=f"doubt:{code}",
        many=f"orders: {_lower(code.label)}",
        all_url=f"{reverse('admin:dispatch_discrepancy_changelist')}?standing=yes&code__exact={code}",
        **of_order(order),
    )


def remedies_of(doubt: Discrepancy, *, may_fly: bool | None = None) -> tuple[Button, ...]:
    """The actions that end it in the order's present state; “settle” if no other does. `may_fly`:
    whether a mission of its order can be in the air, if that is known already.
    """
    known = {} if may_fly is None else {"mission-over": may_fly}
    names = REMEDIES[doubt.code]
    if doubt.code == Code.DELIVERED_AFTER_END and doubt.order.status in IN_FLIGHT:
        names = ("abort",)  # another attempt is flying
    if awaits_answer(doubt.order):  # the only line for this order
        names = tuple(dict.fromkeys((*names, *PARCEL_ANSWERS)))
    found = actions.buttons(doubt.order, *names, known=known)
    if doubt.code in SELF_SETTLING:
        return found
    is_open = doubt.order.status in WITH_A_JOB or awaits_answer(doubt.order)
    if found and is_open and doubt.code in SETTLED_BY_ANSWERS:
        return found
    here = reverse("admin:index")
    return (*found, actions.button(Discrepancy, "settle", doubt.pk, next=here))


def _why_it_waits(order: Order) -> str:
    return order.get_hold_code_display() if order.hold_code else order.get_holder_display()


def _question(order: Any, seen: Sightings) -> Attention:
    """`order`: one of `questions`."""
    where, why = order.get_holder_display().lower(), _why_it_waits(order)
    because = sentence(order.hold_message or order.last_ended_because or "")
    place = seen.where_is(order.holder_drone_id or order.last_drone_id, order)
    narrowed = f"hold={order.hold_code}" if order.hold_code else f"holder__exact={order.holder}"
    return Attention(
        key=f"answer:{order.pk}",
        level=33 - RANK[order.priority],
        text=f"Where is the parcel of order {order}? {why}",
        detail=f"{because} The order says: {where}. {place}".strip(),
        since=order.hold_since or order.holder_since,
        tone=Tone.BAD,
        remedies=actions.buttons(order, *PARCEL_ANSWERS),
        cause=f"answer:{order.hold_code or order.holder}",
        many=f"orders need an answer: where is the parcel? {why}",
        all_url=listed(narrowed),
        **of_order(order),
    )


def maybe_flying(now: datetime) -> QuerySet[MissionPart]:
    live = MissionPart.objects.live().exclude(mission__recall_state=Mission.Recall.TOO_LATE)
    ended = live.exclude(job__status=JobStatus.ACTIVE).filter(job__ended_at__lt=now - GRACE_PERIOD)
    return ended.with_related().order_by(by_rank("order__"), "job__ended_at")


def missions_not_known_to_be_over(look: Look) -> Iterator[Attention]:
    """Missions of ended attempts that are not known to be over."""

    def item(part: MissionPart) -> Attention:
        said = f"Ground control last said “{part.mission.said}”." if part.mission.said else ""
        drone_id = part.mission.drone_id
        where = look.once(sightings).where_is(drone_id, part.order)
        return Attention(
            key=f"not-over:{part.mission_id}",
            level=28,
            text=f"It is not known whether {drone_id} still flies order {part.order}",
            detail=f"The attempt has ended: {sentence(part.job.ended_because)} {said} "
            f"{where} Nothing new is flown for this order until it is known.",
            since=part.job.ended_at,
            remedies=(actions.button(Order, "mission-over", part.order_id),),
            cause="not-over",
            many="missions are not known to be over",
            all_url=missions("live=yes"),
            **of_order(part.order),
        )

    return each(look, maybe_flying, item)


def not_confirmed(now: datetime) -> QuerySet[MissionPart]:
    wanted = Q(order__status__in=BEFORE_LAUNCH) | Q(mission__recall_state=Mission.Recall.WANTED)
    parts = MissionPart.objects.live().filter(
        wanted,
        job__status=JobStatus.ACTIVE,
        mission__recall_refused_at__lt=now - GRACE_PERIOD / 6,
    )
    return parts.with_related().order_by(by_rank("order__"), "job__created_at")


def recalls_not_confirmed(look: Look) -> Iterator[Attention]:
    """Withdrawals and aborts of active attempts that ground control does not confirm."""

    def item(part: MissionPart) -> Attention:
        mission, flies = part.mission, part.order.status in IN_FLIGHT
        names = FLIGHT_ANSWERS if flies else ("cancel", "requeue", "mission-over")
        what = "abort" if mission.recall_mode == "abort" else "withdrawal"
        return Attention(
            key=f"recall:{part.mission_id}",
            level=33,
            text=f"Ground control does not confirm the {what} of order {part.order}",
            detail=f"Nothing was changed: {mission.drone_id} may fly it. The answer was: "
            f"{words_of(mission.bridge_answer)} Look in ground control.",
            since=None if flies else mission.recall_refused_at,
            tone=Tone.BAD,
            remedies=actions.buttons(part.order, *names, known={"mission-over": True}),
            cause="recall",
            many="withdrawals and aborts are not confirmed by ground control",
            all_url=missions("live=yes"),
            **of_order(part.order),
        )

    return each(look, not_confirmed, item)


def pauses(now: datetime) -> QuerySet[Any]:
    """The standing pause, if there is one, with the number of missions that are `waiting`."""
    pending = Mission.objects.filter(state=Mission.State.PENDING).order_by().values("state")
    waiting = Subquery(pending.annotate(count=Count("pk")).values("count"))
    return PublishingPause.objects.filter(ended_at__isnull=True).annotate(
        waiting=Coalesce(waiting, 0)
    )


def publishing_paused(look: Look) -> Iterator[Attention]:
    for pause in look.rows(pauses):
        waits = "mission waits" if pause.waiting == 1 else "missions wait"
        yield Attention(
            key="publishing",
            level=45,
            text="Publishing is paused: ground control refuses the form of our missions",
            detail=f"{pause.refused} orders in a row. {sentence(pause.because)} {pause.waiting} "
            f"{waits}. "
            "Repair the cause, then resume publishing.",
            url=missions("state__exact=PENDING"),
            since=pause.began_at,
            tone=Tone.BAD,
            remedies=(
                actions.button(PublishingPause, "resume", pause.pk, next=reverse("admin:index")),
            ),
        )


def _lower(label: str) -> str:
    return label[:1].lower() + label[1:]


SOURCES = (
    AttentionSource(
        parcels_and_flights,
        "every parcel is where its order says, and no reports contradict it",
        (*worst(doubts, questions), hubs),
    ),
    AttentionSource(
        missions_not_known_to_be_over,
        "every mission of an ended attempt is known to be over",
        (*worst(maybe_flying), hubs),
    ),
    AttentionSource(
        recalls_not_confirmed,
        "ground control has confirmed every withdrawal and abort",
        worst(not_confirmed),
    ),
    AttentionSource(publishing_paused, "publishing is not paused", (pauses,)),
)
# The orders of these lines.
ORDERS: tuple[Callable[[datetime], QuerySet[Any]], ...] = (
    lambda now: standing(now).values("order"),
    lambda now: Order.objects.awaiting_staff(),
    lambda now: maybe_flying(now).values("order"),
    lambda now: not_confirmed(now).values("order"),
)
