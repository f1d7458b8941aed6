"""Dispatch on the dashboard: orders, missions and flights that are stuck."""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta

from django.urls import reverse

from dispatch.console import presentation
from dispatch.console.sightings import Sightings
from dispatch.missions.bridge import BridgeNotAsked, ground_control
from dispatch.models import DispatchDecision, DispatchRun, Flight, Mission, MissionPart
from fleet import policy
from fleet.feasibility.rules import Priority
from orders.models import Order
from orders.states import JobStatus, Status
from wingxtra.console import actions
from wingxtra.console.admin import duration
from wingxtra.console.registry import Attention, Tone

# A drone that comes home within this time needs no attention.
GRACE_PERIOD = timedelta(minutes=1)
# A launch later than the policy's launch_time_s by this much needs ops.
LAUNCH_GRACE_PERIOD = timedelta(minutes=2)
# This many failing missions mean that the bridge is down.
BRIDGE_DOWN_MISSIONS = 3
# More orders with the same cause are one line.
MAX_LINES_PER_CAUSE = 3
RANK = {Priority.MEDICAL: 0, Priority.URGENT: 1, Priority.NORMAL: 2}


def orders_without_a_drone(now: datetime) -> Iterator[Attention]:
    """Orders without an able drone in the latest run, once they have waited for GRACE_PERIOD.

    More than MAX_LINES_PER_CAUSE with one cause are one line.
    """
    run = DispatchRun.objects.filter(dry_run=False, orders_considered__gt=0).first()
    if run is None:
        return
    stuck = run.decisions.filter(
        outcome=DispatchDecision.Outcome.UNASSIGNED,
        order__in=Order.objects.dispatchable(),
        order__created_at__lt=now - GRACE_PERIOD,
    ).select_related("order")
    causes: defaultdict[str, list[DispatchDecision]] = defaultdict(list)
    for decision in stuck.order_by("order__deliver_by"):
        causes[presentation.main_cause(decision.ruled_out)].append(decision)
    for cause, decisions in causes.items():
        decisions.sort(key=lambda decision: RANK[Priority(decision.order.priority)])
        if len(decisions) > MAX_LINES_PER_CAUSE:
            yield _many_without_a_drone(cause, decisions)
        else:
            yield from (_without_a_drone(decision, now) for decision in decisions)


def _without_a_drone(decision: DispatchDecision, now: datetime) -> Attention:
    order = decision.order
    wait = duration(now - order.created_at)
    return Attention(
        key=f"no-drone:{order.pk}",
        level=8 + min(9, int((now - order.created_at).total_seconds() // 600)),
        text=f"No drone can take order {order}, waiting {wait}",
        detail=decision.why or "No drone is registered for its area.",
        url=reverse("admin:orders_order_change", args=[order.pk]),
        since=order.created_at,
        remedies=(actions.button(Order, "assign", order.pk),),
    )


def _many_without_a_drone(cause: str, decisions: list[DispatchDecision]) -> Attention:
    """`decisions`: the most urgent first."""
    orders = [decision.order for decision in decisions]
    counts = Counter(order.get_priority_display() for order in orders)
    by_priority = ", ".join(f"{count} {priority.lower()}" for priority, count in counts.items())
    first = decisions[0].why or "No drone is registered for its area."
    return Attention(
        key=f"no-drone:{cause}",
        level=12 + min(9, len(orders).bit_length()) + 2 * (2 - RANK[Priority(orders[0].priority)]),
        text=f"{len(orders)} orders have no able drone: {presentation.cause_text(cause)}",
        detail=f"{by_priority}. Order {orders[0]}, the most urgent: {first}",
        url=reverse("admin:orders_order_changelist") + "?tab=queued",
        since=min(order.created_at for order in orders),
        remedies=(
            actions.button(
                Order, "dispatch", *[order.pk for order in orders[: actions.MAX_TARGETS]]
            ),
        ),
    )


def missions_not_getting_through(now: datetime) -> Iterator[Attention]:
    try:
        ground_control().base()
    except BridgeNotAsked as problem:
        yield Attention(
            key="no-bridge",
            level=40,
            text="No ground control bridge is configured",
            detail=f"Missions are kept and not sent. {problem.detail}",
            tone=Tone.BAD,
        )
    waiting = list(
        MissionPart.objects.with_related()
        .filter(mission__state=Mission.State.PENDING)
        .exclude(mission__bridge_answer="")
        .order_by("mission__created_at")[:20]
    )
    if len(waiting) >= BRIDGE_DOWN_MISSIONS:
        oldest = waiting[0]
        yield Attention(
            key="bridge",
            level=42 + min(9, len(waiting) // 5),
            text="Ground control's bridge does not take missions",
            detail=f"{len(waiting)} missions wait. It said: {oldest.mission.bridge_answer[:200]}",
            url=reverse("admin:dispatch_mission_changelist") + "?state__exact=PENDING",
            since=oldest.mission.created_at,
            tone=Tone.BAD,
        )
        return
    for part in waiting:
        mission = part.mission
        yield Attention(
            key=f"intent:{mission.pk}",
            level=15 + min(9, mission.tries),
            text=f"The mission of order {part.order} does not get through to ground control",
            detail=f"{mission.tries} tries. {mission.bridge_answer[:200]}",
            url=reverse("admin:orders_order_change", args=[part.order_id]),
            since=mission.created_at,
            tone=Tone.BAD,
            remedies=(actions.button(Order, "submit", part.order_id),),
        )


def missions_held(now: datetime) -> Iterator[Attention]:
    """Missions that the policy leaves to ops to publish."""
    held = MissionPart.objects.with_related().filter(
        mission__state=Mission.State.HELD,
        job__status=JobStatus.ACTIVE,
        mission__created_at__lt=now - GRACE_PERIOD,
    )
    for part in held.order_by("mission__created_at")[:20]:
        yield Attention(
            key=f"held:{part.mission_id}",
            level=7,
            text=f"The mission of order {part.order} waits for you to submit it",
            detail=f"For {part.job.drone_id}. The policy does not publish missions by itself.",
            url=reverse("admin:orders_order_change", args=[part.order_id]),
            since=part.mission.created_at,
            remedies=(actions.button(Order, "submit", part.order_id),),
        )


def slow_launches(now: datetime) -> Iterator[Attention]:
    """Accepted missions whose drone has not taken off."""
    longest = timedelta(seconds=policy.current().launch_time_s) + LAUNCH_GRACE_PERIOD
    grounded = MissionPart.objects.with_related().filter(
        mission__state=Mission.State.ACCEPTED,
        job__status=JobStatus.ACTIVE,
        order__status=Status.MISSION_SUBMITTED,
        mission__accepted_at__lt=now - longest,
    )
    for part in grounded.order_by("mission__accepted_at")[:20]:
        wait = now - (part.mission.accepted_at or now)
        yield Attention(
            key=f"launch:{part.mission_id}",
            level=14 + min(9, int(wait.total_seconds() // 300)),
            text=f"{part.job.drone_id} has not started with order {part.order}",
            detail=f"Ground control accepted the mission {duration(wait)} ago.",
            url=reverse("admin:orders_order_change", args=[part.order_id]),
            since=part.mission.accepted_at,
            remedies=actions.buttons(part.order, "requeue", "delivered", "failed"),
        )


def launched_despite_recall(now: datetime) -> Iterator[Attention]:
    """Missions that were recalled too late: their drones fly parcels of ended jobs."""
    flying = (
        MissionPart.objects.live()
        .with_related()
        .filter(mission__recall_state=Mission.Recall.TOO_LATE)
    )
    parts = list(flying.order_by("mission__recall_asked_at")[:20])
    seen = Sightings.load(now) if parts else None
    for part in parts:
        drone_id = part.job.drone_id
        where = seen.where_is(drone_id, part.order) if seen else ""
        yield Attention(
            key=f"too-late:{part.mission_id}",
            level=34,
            text=f"Ground control says that {drone_id} flies order {part.order}, which was taken "
            "from it",
            detail=f"The recall came too late: ground control had launched it. {where} If it "
            "flies, have it called home there. Nothing new is flown for this order until its "
            f"mission is over. It was recalled because: {part.mission.recall_reason}",
            url=reverse("admin:orders_order_change", args=[part.order_id]),
            since=part.mission.recall_asked_at,
            tone=Tone.BAD,
            remedies=(actions.button(Order, "mission-over", part.order_id),),
        )


def lost_links(now: datetime) -> Iterator[Attention]:
    silent = Flight.objects.filter(link_lost_at__isnull=False, job__status=JobStatus.ACTIVE)
    for flight in silent.select_related("job__order"):
        job, lost_at = flight.job, flight.link_lost_at or now
        yield Attention(
            key=f"link:{job.pk}",
            level=35 + min(9, int((now - lost_at).total_seconds() // 120)),
            text=f"Link lost to {job.drone_id} in flight with order {job.order}",
            detail="Nothing is known about the parcel until it answers. Look in ground control.",
            url=reverse("admin:orders_order_change", args=[job.order_id]),
            since=lost_at,
            tone=Tone.BAD,
            remedies=actions.buttons(job.order, "delivered", "failed"),
        )


# Each source with the text for the dashboard while it yields nothing.
SOURCES: dict[Callable[[datetime], Iterator[Attention]], str] = {
    orders_without_a_drone: "no waiting order lacks an able drone",
    missions_not_getting_through: "every mission reaches ground control",
    missions_held: "no mission waits for you to submit it",
    slow_launches: "no launch is overdue",
    launched_despite_recall: "no drone flies an order that was taken from it",
    lost_links: "no link is lost",
}
