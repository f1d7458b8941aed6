"""Unclear parcels, flights, missions and drones on the dashboard.

Each line has the actions that end it. Many of one cause are one line, with actions for all.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime, timedelta
from typing import Any, TypeVar

from django.db.models import Model, Q
from django.urls import reverse

from dispatch.console.attention import RANK
from dispatch.console.parcel_actions import awaits_answer
from dispatch.console.sightings import Sightings
from dispatch.missions import publishing_pause
from dispatch.models import Discrepancy, Mission, MissionPart, PublishingPause
from fleet.feasibility.rules import Priority
from orders.models import DeliveryJob, Order
from orders.states import IN_FLIGHT, WITH_A_JOB, JobStatus, Status
from wingxtra.console import actions
from wingxtra.console.registry import Attention, Button, Tone
from wingxtra.sentences import sentence

T = TypeVar("T")

# More of one cause are one line.
MAX_LINES_PER_CAUSE = 20
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


def parcels_and_flights(now: datetime) -> Iterator[Attention]:
    """Orders with standing discrepancies, and orders whose parcel's location is unknown."""
    standing = list(
        Discrepancy.objects.filter(settled_at__isnull=True)
        .select_related("order__current_job", "job")
        .order_by("raised_at")
    )
    seen = Sightings.load(now)
    shown = {doubt.order_id for doubt in standing}
    for code, doubts in _by(standing, lambda doubt: doubt.code).items():
        if len(doubts) > MAX_LINES_PER_CAUSE:
            yield _many_doubts(Code(code), doubts)
        else:
            yield from (_doubt(doubt, seen) for doubt in doubts)
    asked = Order.objects.awaiting_staff().exclude(pk__in=shown)
    rows = list(asked.select_related("current_job", "holder_drone").order_by("holder_since"))
    last_jobs = _last_jobs(rows)
    for why, orders in _by(rows, _why_it_waits).items():
        if len(orders) > MAX_LINES_PER_CAUSE:
            yield _many_questions(why, orders)
        else:
            yield from (_question(order, why, last_jobs.get(order.pk), seen) for order in orders)


def _doubt(doubt: Discrepancy, seen: Sightings) -> Attention:
    order = doubt.order
    return Attention(
        key=f"doubt:{doubt.pk}",
        level=34 - RANK[Priority(order.priority)],
        text=f"{doubt.get_code_display()}: order {order} with {doubt.job.drone_id}",
        detail=f"{sentence(doubt.message)} {seen.where_is(doubt.job.drone_id, order)}".strip(),
        url=_page(order),
        since=doubt.raised_at,
        tone=Tone.BAD,
        remedies=remedies_of(doubt),
    )


def remedies_of(doubt: Discrepancy) -> tuple[Button, ...]:
    """The actions that end it in the order's present state; “settle” if no other does."""
    names = REMEDIES[doubt.code]
    if doubt.code == Code.DELIVERED_AFTER_END and doubt.order.status in IN_FLIGHT:
        names = ("abort",)  # another attempt is flying
    if awaits_answer(doubt.order):  # the only line for this order
        names = tuple(dict.fromkeys((*names, *PARCEL_ANSWERS)))
    found = actions.buttons(doubt.order, *names)
    if doubt.code in SELF_SETTLING:
        return found
    is_open = doubt.order.status in WITH_A_JOB or awaits_answer(doubt.order)
    if found and is_open and doubt.code in SETTLED_BY_ANSWERS:
        return found
    here = reverse("admin:index")
    return (*found, actions.button(Discrepancy, "settle", doubt.pk, next=here))


def _many_doubts(code: Discrepancy.Code, doubts: Sequence[Discrepancy]) -> Attention:
    orders = list({doubt.order_id: doubt.order for doubt in doubts}.values())
    by_status = {True: "abort", False: "requeue"}
    names = REMEDIES[code][:2]
    if code in SELF_SETTLING:
        names = tuple(by_status[flies] for flies in {o.status in IN_FLIGHT for o in orders})
    remedies = _for_all(orders, names)
    if code not in SELF_SETTLING:
        remedies += (_all(Discrepancy, "settle", doubts),)
    return Attention(
        key=f"doubt:{code}",
        level=36 + _severity(len(doubts)),
        text=f"{code.label}: {len(orders)} orders",
        detail=f"{_named(orders)}. The oldest: {doubts[0].message}",
        url=f"{reverse('admin:dispatch_discrepancy_changelist')}?standing=yes&code__exact={code}",
        since=doubts[0].raised_at,
        tone=Tone.BAD,
        remedies=remedies,
    )


def _why_it_waits(order: Order) -> str:
    return order.get_hold_code_display() if order.hold_code else order.get_holder_display()


def _question(order: Order, why: str, job: DeliveryJob | None, seen: Sightings) -> Attention:
    drone_id = order.holder_drone_id or (job.drone_id if job else None)
    where = order.get_holder_display().lower()
    cause = sentence(order.hold_message or (job.ended_because if job else ""))
    return Attention(
        key=f"answer:{order.pk}",
        level=33 - RANK[Priority(order.priority)],
        text=f"Where is the parcel of order {order}? {why}",
        detail=f"{cause} The order says: {where}. {seen.where_is(drone_id, order)}".strip(),
        url=_page(order),
        since=order.hold_since or order.holder_since,
        tone=Tone.BAD,
        remedies=actions.buttons(order, *PARCEL_ANSWERS),
    )


def _many_questions(why: str, orders: Sequence[Order]) -> Attention:
    code = orders[0].hold_code
    narrowed = f"hold={code}" if code else f"holder__exact={orders[0].holder}"
    return Attention(
        key=f"answer:{code or orders[0].holder}",
        level=36 + _severity(len(orders)),
        text=f"Where are the parcels of {len(orders)} orders? {why}",
        detail=f"{_named(orders)}.",
        url=f"{reverse('admin:orders_order_changelist')}?{narrowed}",
        since=min(order.hold_since or order.holder_since for order in orders),
        tone=Tone.BAD,
        remedies=_for_all(orders, PARCEL_ANSWERS),
    )


def missions_not_known_to_be_over(now: datetime) -> Iterator[Attention]:
    """Missions of ended attempts that are not known to be over."""
    live = MissionPart.objects.live().exclude(mission__recall_state=Mission.Recall.TOO_LATE)
    parts = list(
        live.with_related()
        .exclude(job__status=JobStatus.ACTIVE)
        .filter(job__ended_at__lt=now - GRACE_PERIOD)
        .order_by("job__ended_at")
    )
    if len(parts) > MAX_LINES_PER_CAUSE:
        orders = [part.order for part in parts]
        yield Attention(
            key="not-over",
            level=30 + _severity(len(parts)),
            text=f"{len(parts)} missions are not known to be over",
            detail=f"Nothing new is flown for these orders until it is: {_named(orders)}.",
            url=f"{reverse('admin:dispatch_mission_changelist')}?live=yes",
            since=parts[0].job.ended_at,
            remedies=(_all(Order, "mission-over", orders),),
        )
        return
    seen = Sightings.load(now)
    for part in parts:
        said = f"Ground control last said “{part.mission.said}”." if part.mission.said else ""
        drone_id = part.mission.drone_id
        yield Attention(
            key=f"not-over:{part.mission_id}",
            level=28,
            text=f"It is not known whether {drone_id} still flies order {part.order}",
            detail=f"The attempt has ended: {sentence(part.job.ended_because)} {said} "
            f"{seen.where_is(drone_id, part.order)} Nothing new is flown for this order until it "
            "is known.",
            url=_page(part.order),
            since=part.job.ended_at,
            remedies=(actions.button(Order, "mission-over", part.order_id),),
        )


def recalls_not_confirmed(now: datetime) -> Iterator[Attention]:
    """Withdrawals and aborts of active attempts that ground control does not confirm."""
    wanted = Q(order__status__in=BEFORE_LAUNCH) | Q(mission__recall_state=Mission.Recall.WANTED)
    parts = list(
        MissionPart.objects.live()
        .with_related()
        .filter(
            wanted,
            job__status=JobStatus.ACTIVE,
            mission__recall_refused_at__lt=now - GRACE_PERIOD / 6,
        )
        .order_by("job__created_at")
    )
    if len(parts) > MAX_LINES_PER_CAUSE:
        orders = [part.order for part in parts]
        yield Attention(
            key="recall",
            level=36 + _severity(len(parts)),
            text=f"Ground control does not confirm {len(parts)} withdrawals and aborts",
            detail=f"{_named(orders)}. The first: {parts[0].mission.bridge_answer[:200]}",
            url=f"{reverse('admin:dispatch_mission_changelist')}?live=yes",
            tone=Tone.BAD,
            remedies=(
                *_for_all(orders, ("requeue", "cancel", "failed")),
                _all(Order, "mission-over", orders),
            ),
        )
        return
    for part in parts:
        flies = part.order.status in IN_FLIGHT
        names = FLIGHT_ANSWERS if flies else ("cancel", "requeue", "mission-over")
        what = "abort" if part.mission.recall_mode == "abort" else "withdrawal"
        yield Attention(
            key=f"recall:{part.mission_id}",
            level=33,
            text=f"Ground control does not confirm the {what} of order {part.order}",
            detail=f"Nothing was changed: {part.mission.drone_id} may fly it. The answer was: "
            f"{sentence(part.mission.bridge_answer[:200])} Look in ground control.",
            url=_page(part.order),
            since=None if flies else part.mission.recall_refused_at,
            tone=Tone.BAD,
            remedies=actions.buttons(part.order, *names),
        )


def publishing_paused(now: datetime) -> Iterator[Attention]:
    pause = publishing_pause.current()
    if pause is None:
        return
    waiting = Mission.objects.filter(state=Mission.State.PENDING).count()
    yield Attention(
        key="publishing",
        level=45,
        text="Publishing is paused: ground control refuses the form of our missions",
        detail=f"{pause.refused} orders in a row. {sentence(pause.because)} "
        f"{waiting} mission{'' if waiting == 1 else 's'} wait{'s' if waiting == 1 else ''}.",
        url=f"{reverse('admin:dispatch_mission_changelist')}?state__exact=PENDING",
        since=pause.began_at,
        tone=Tone.BAD,
        remedies=(
            actions.button(PublishingPause, "resume", pause.pk, next=reverse("admin:index")),
        ),
    )


# --- parts of a line -----------------------------------------------------------------------------


def _by(rows: Iterable[T], cause: Callable[[T], str]) -> dict[str, list[T]]:
    found: defaultdict[str, list[T]] = defaultdict(list)
    for row in rows:
        found[cause(row)].append(row)
    return dict(found)


def _last_jobs(orders: Sequence[Order]) -> dict[Any, DeliveryJob]:
    jobs = DeliveryJob.objects.filter(order__in=orders).order_by("order_id", "-attempt")
    return {job.order_id: job for job in jobs.distinct("order_id")}


def _for_all(orders: Sequence[Order], names: Iterable[str]) -> tuple[Button, ...]:
    """One button per action, for the orders that allow it, the most urgent first."""
    found = []
    ranked = sorted(orders, key=lambda order: RANK[Priority(order.priority)])
    for name in names:
        able = [order for order in ranked if actions.buttons(order, name)]
        if able:
            found.append(_all(Order, name, able))
    return tuple(found)


def _all(model: type[Model], name: str, instances: Sequence[Any]) -> Button:
    pks = [instance.pk for instance in instances[: actions.MAX_TARGETS]]
    return actions.button(model, name, *pks, next=reverse("admin:index"))


def _named(orders: Sequence[Order]) -> str:
    first = ", ".join(str(order) for order in orders[:3])
    return f"{first} and {len(orders) - 3} more" if len(orders) > 3 else first


def _severity(count: int) -> int:
    """0 to 9: one level per doubling, which brings an acknowledged line back."""
    return min(9, count.bit_length())


def _page(order: Order) -> str:
    return reverse("admin:orders_order_change", args=[order.pk])


# Each source with the text for the dashboard while it yields nothing.
SOURCES: dict[Callable[[datetime], Iterator[Attention]], str] = {
    parcels_and_flights: "every parcel is where its order says, and no reports contradict it",
    missions_not_known_to_be_over: "every mission of an ended attempt is known to be over",
    recalls_not_confirmed: "ground control has confirmed every withdrawal and abort",
    publishing_paused: "publishing is not paused",
}
