"""Dispatch on the dashboard: orders, missions and flights that are stuck."""

from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from typing import Any

from django.db.models import OuterRef, QuerySet, Subquery
from django.urls import reverse

from dispatch.console import presentation
from dispatch.console.sightings import hubs, sightings
from dispatch.missions.bridge import BridgeNotAsked, ground_control
from dispatch.models import DispatchDecision, Flight, Mission, MissionPart
from fleet import policy
from orders.console.attention import NEEDED, RANK, about, by_rank, listed, page
from orders.models import Order
from orders.states import TERMINAL, JobStatus, Status
from wingxtra.console import actions
from wingxtra.console.admin import duration
from wingxtra.console.attention.counting import each, unseen, worst
from wingxtra.console.look import Look
from wingxtra.console.registry import Attention, AttentionSource, Tone

# A drone that comes home within this time needs no attention.
GRACE_PERIOD = timedelta(minutes=1)
# A launch later than the policy's launch_time_s by this much needs ops.
LAUNCH_GRACE_PERIOD = timedelta(minutes=2)
# A refused mission is listed for this long, or until it was seen.
REFUSED_SHOWN_FOR = timedelta(days=1)


def missions(query: str) -> str:
    """The address of the list of missions with these filters."""
    return f"{reverse('admin:dispatch_mission_changelist')}?{query}"


def of_order(order: Order) -> dict[str, Any]:
    return {"url": page(order), "about": about(order)}


# --- orders without a drone ----------------------------------------------------------------------


def lacking_a_drone(now: datetime) -> QuerySet[DispatchDecision]:
    """The latest decision of each waiting order, where it is that no drone is able. Areas are
    planned in runs of their own, so the latest run alone does not tell.
    """
    waiting = Order.objects.dispatchable().filter(created_at__lt=now - GRACE_PERIOD)
    latest = (
        DispatchDecision.objects.filter(order=OuterRef("pk"), run__dry_run=False)
        .order_by("-id")
        .values("pk")[:1]
    )
    decisions = DispatchDecision.objects.filter(
        pk__in=waiting.order_by().values_list(Subquery(latest)),
        outcome=DispatchDecision.Outcome.UNASSIGNED,
    )
    # There may be hundreds.
    some = decisions.only("why", "ruled_out", *(f"order__{name}" for name in NEEDED))
    return some.select_related("order").order_by(by_rank("order__"), "order__deliver_by")


def orders_without_a_drone(look: Look) -> Iterator[Attention]:
    """Once they have waited for GRACE_PERIOD, by the main reason."""

    def item(decision: DispatchDecision) -> Attention:
        order = decision.order
        wait = look.at - order.created_at
        cause = presentation.main_cause(decision.ruled_out)
        return Attention(
            key=f"no-drone:{order.pk}",
            level=8 + min(9, int(wait.total_seconds() // 600)) + 2 * (2 - RANK[order.priority]),
            text=f"No drone can take order {order}, waiting {duration(wait)}",
            detail=decision.why or "No drone is registered for its area.",
            since=order.created_at,
            remedies=(
                actions.button(Order, "assign", order.pk),
                actions.button(Order, "dispatch", order.pk),
            ),
            cause=f"no-drone:{cause}",
            many=f"orders have no able drone: {presentation.cause_text(cause)}",
            all_url=listed("tab=queued"),
            **of_order(order),
        )

    return each(look, lacking_a_drone, item)


# --- missions on their way to ground control -----------------------------------------------------


def unsent(now: datetime) -> QuerySet[MissionPart]:
    pending = MissionPart.objects.filter(mission__state=Mission.State.PENDING)
    answered = pending.exclude(mission__bridge_answer="")
    return answered.with_related().order_by(by_rank("order__"), "mission__created_at")


def missions_not_getting_through(look: Look) -> Iterator[Attention]:
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

    def item(part: MissionPart) -> Attention:
        mission = part.mission
        said = presentation.words_of(mission.bridge_answer)
        return Attention(
            key=f"intent:{mission.pk}",
            level=15 + min(9, mission.tries),
            text=f"The mission of order {part.order} does not get through to ground control",
            detail=f"{mission.tries} tries. {said} {presentation.advice(mission.bridge_status)}",
            since=mission.created_at,
            tone=Tone.BAD,
            remedies=(actions.button(Order, "submit", part.order_id),),
            cause="intent",
            many="missions do not get through to ground control",
            all_url=missions("state__exact=PENDING"),
            **of_order(part.order),
        )

    yield from each(look, unsent, item)


def refused(now: datetime) -> QuerySet[MissionPart]:
    """Missions that ground control has refused, of orders that are not delivered since."""
    recent = MissionPart.objects.filter(
        mission__state=Mission.State.REJECTED,
        mission__created_at__gt=now - REFUSED_SHOWN_FOR,
        order__live_mode=True,
    )
    undelivered = recent.exclude(order__status__in=(Status.DELIVERED, Status.CANCELED))
    parts = unseen(undelivered, "refused:", now).select_related("mission", "order")
    return parts.order_by(by_rank("order__"), "-mission__created_at")


def missions_refused(look: Look) -> Iterator[Attention]:
    def item(part: MissionPart) -> Attention:
        order = part.order
        over = "It has ended." if order.status in TERMINAL else "It goes on with another attempt."
        return Attention(
            key=f"refused:{part.pk}",
            level=12 - RANK[order.priority],
            text=f"Ground control refused the mission of order {order}",
            detail=f"It said: {presentation.words_of(part.mission.bridge_answer)} {over}",
            since=part.mission.created_at,
            cause="refused",
            many="missions were refused by ground control",
            all_url=missions("state__exact=REJECTED"),
            until_seen=True,
            **of_order(order),
        )

    return each(look, refused, item)


def held(now: datetime) -> QuerySet[MissionPart]:
    parts = MissionPart.objects.filter(
        mission__state=Mission.State.HELD,
        job__status=JobStatus.ACTIVE,
        mission__created_at__lt=now - GRACE_PERIOD,
    )
    return parts.with_related().order_by(by_rank("order__"), "mission__created_at")


def missions_held(look: Look) -> Iterator[Attention]:
    """Missions that the policy leaves to ops to publish."""

    def item(part: MissionPart) -> Attention:
        return Attention(
            key=f"held:{part.mission_id}",
            level=7,
            text=f"The mission of order {part.order} waits for you to submit it",
            detail=f"For {part.job.drone_id}. The policy does not publish missions by itself.",
            since=part.mission.created_at,
            remedies=(actions.button(Order, "submit", part.order_id),),
            cause="held",
            many="missions wait for you to submit them",
            all_url=missions("state__exact=HELD"),
            **of_order(part.order),
        )

    return each(look, held, item)


# --- flights -------------------------------------------------------------------------------------


def not_launched(now: datetime) -> QuerySet[MissionPart]:
    parts = MissionPart.objects.filter(
        mission__state=Mission.State.ACCEPTED,
        job__status=JobStatus.ACTIVE,
        order__status=Status.MISSION_SUBMITTED,
        mission__accepted_at__lt=now - LAUNCH_GRACE_PERIOD - policy.seconds("launch_time_s"),
    )
    return parts.with_related().order_by(by_rank("order__"), "mission__accepted_at")


def slow_launches(look: Look) -> Iterator[Attention]:
    """Accepted missions whose drone has not taken off."""

    def item(part: MissionPart) -> Attention:
        wait = look.at - (part.mission.accepted_at or look.at)
        return Attention(
            key=f"launch:{part.mission_id}",
            level=14 + min(9, int(wait.total_seconds() // 300)),
            text=f"{part.job.drone_id} has not started with order {part.order}",
            detail=f"Ground control accepted the mission {duration(wait)} ago.",
            since=part.mission.accepted_at,
            remedies=actions.buttons(part.order, "requeue", "delivered", "failed"),
            cause="launch",
            many="drones have not started with their orders",
            all_url=listed("tab=assigned"),
            **of_order(part.order),
        )

    return each(look, not_launched, item)


def recalled_too_late(now: datetime) -> QuerySet[MissionPart]:
    parts = MissionPart.objects.live().filter(mission__recall_state=Mission.Recall.TOO_LATE)
    return parts.with_related().order_by("mission__recall_asked_at")


def launched_despite_recall(look: Look) -> Iterator[Attention]:
    """Missions that were recalled too late: their drones fly parcels of ended jobs."""

    def item(part: MissionPart) -> Attention:
        drone_id = part.job.drone_id
        where = look.once(sightings).where_is(drone_id, part.order)
        return Attention(
            key=f"too-late:{part.mission_id}",
            level=34,
            text=f"Ground control says that {drone_id} flies order {part.order}, which was taken "
            "from it",
            detail="The recall came too late: ground control had launched it. "
            f"{where} If it flies, have it called home "
            "there. Nothing new is flown for this order until its mission is over. It was "
            f"recalled because: {part.mission.recall_reason}",
            since=part.mission.recall_asked_at,
            tone=Tone.BAD,
            remedies=(actions.button(Order, "mission-over", part.order_id),),
            cause="too-late",
            many="drones fly orders that were taken from them",
            all_url=missions("live=yes"),
            **of_order(part.order),
        )

    return each(look, recalled_too_late, item)


def silent(now: datetime) -> QuerySet[Flight]:
    lost = Flight.objects.filter(link_lost_at__isnull=False, job__status=JobStatus.ACTIVE)
    return lost.select_related("job__order").order_by(by_rank("job__order__"), "link_lost_at")


def lost_links(look: Look) -> Iterator[Attention]:
    def item(flight: Flight) -> Attention:
        job, lost_at = flight.job, flight.link_lost_at or look.at
        return Attention(
            key=f"link:{job.pk}",
            level=35 + min(9, int((look.at - lost_at).total_seconds() // 120)),
            text=f"Link lost to {job.drone_id} in flight with order {job.order}",
            detail="Nothing is known about the parcel until it answers. Look in ground control.",
            since=lost_at,
            tone=Tone.BAD,
            remedies=actions.buttons(job.order, "delivered", "failed"),
            cause="link",
            many="drones in flight with an order have lost their link",
            all_url=listed("tab=in_flight"),
            **of_order(job.order),
        )

    return each(look, silent, item)


SOURCES = (
    AttentionSource(
        orders_without_a_drone, "no waiting order lacks an able drone", worst(lacking_a_drone)
    ),
    AttentionSource(
        missions_not_getting_through, "every mission reaches ground control", worst(unsent)
    ),
    AttentionSource(missions_refused, "ground control has refused no mission", worst(refused)),
    AttentionSource(missions_held, "no mission waits for you to submit it", worst(held)),
    AttentionSource(slow_launches, "no launch is overdue", worst(not_launched)),
    AttentionSource(
        launched_despite_recall,
        "no drone flies an order that was taken from it",
        (*worst(recalled_too_late), hubs),
    ),
    AttentionSource(lost_links, "no link is lost", worst(silent)),
)
# The orders of these lines.
ORDERS: tuple[Callable[[datetime], QuerySet[Any]], ...] = (
    lambda now: lacking_a_drone(now).values("order"),
    lambda now: unsent(now).values("order"),
    lambda now: refused(now).values("order"),
    lambda now: held(now).values("order"),
    lambda now: not_launched(now).values("order"),
    lambda now: recalled_too_late(now).values("order"),
    lambda now: silent(now).values("job__order"),
)
