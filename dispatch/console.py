"""What dispatch puts into the console: actions on orders, decisions, missions, troubles."""

from collections.abc import Iterator
from dataclasses import asdict
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.http import HttpRequest
from django.urls import reverse
from django.utils import timezone
from django.utils.html import format_html

from dispatch import ops, runs, tracks
from dispatch.models import DispatchDecision, DispatchRun, Flight, MissionIntent
from dispatch.words import INTENT_TONE, OUTCOME_TONE, ruled_out
from fleet import picture, policy
from fleet.models import ServiceArea
from orders import words
from orders.console import features_of
from orders.models import DeliveryJob, Order
from orders.states import JobStatus, Status
from wingxtra.console import actions, registry, roles
from wingxtra.console.admin import badge, moment
from wingxtra.console.registry import Attention, Section, Tone, add_section
from wingxtra.console.widgets import tiles

roles.seen_by_all(
    "dispatch.view_dispatchrun", "dispatch.view_dispatchdecision", "dispatch.view_missionintent"
)
roles.done_by_ops("dispatch.add_dispatchrun")
for action in ops.ACTIONS:
    actions.register(action)


# --- on an order's page --------------------------------------------------------------------------


def decision(order: Order, request: HttpRequest) -> Section:
    latest = order.decisions.select_related("run").order_by("-id").first()
    context = {"decision": latest and told(latest)}
    return Section("Dispatch decision", "console/order/decision.html", context)


def told(decision: DispatchDecision) -> dict[str, Any]:
    return {
        "outcome": badge(decision.get_outcome_display(), OUTCOME_TONE[decision.outcome]),
        "why": decision.why,
        "at": moment(decision.run.started_at),
        "run_url": reverse("admin:dispatch_dispatchrun_change", args=[decision.run_id]),
        "runners_up": decision.runners_up,
        "ruled_out": ruled_out(decision.ruled_out),
    }


def missions_of(order: Order, request: HttpRequest) -> Section:
    rows = [
        {
            "intent": intent,
            "state": badge(intent.get_state_display(), INTENT_TONE[intent.state]),
            "url": reverse("admin:dispatch_missionintent_change", args=[intent.pk]),
            "sent": moment(intent.accepted_at),
        }
        for intent in order.intents.select_related("job").order_by("-created_at")
    ]
    return Section("Missions", "console/order/missions.html", {"rows": rows})


def where(order: Order, request: HttpRequest) -> Section:
    """Pickup, drop point and, while somebody flies it, the drone."""
    now = timezone.now()
    features = features_of(order, now)
    if flown := order.current_job and tracks.track_of(order.current_job):
        line = {"type": "LineString", "coordinates": [[point.lng, point.lat] for point in flown]}
        features.append(registry.Feature("flown", "line", line, "Flown", Tone.GOOD))
    context = {
        "features": [asdict(feature) for feature in features],
        "tiles": tiles(),
        "drone": order.assigned_drone_id if not order.is_terminal else None,
    }
    return Section("Where it is", "console/order/where.html", context)


add_section(Order, 5, where)
add_section(Order, 50, decision)
add_section(Order, 60, missions_of)


# --- what needs attention ------------------------------------------------------------------------


# A drone that comes home within a minute or so is no trouble.
PATIENCE = timedelta(minutes=1)


def orders_without_a_drone(now: datetime) -> Iterator[Attention]:
    """Orders that the latest run could give to nobody, once they have waited a while."""
    run = DispatchRun.objects.filter(dry_run=False, orders_considered__gt=0).first()
    if run is None:
        return
    stuck = run.decisions.filter(
        outcome=DispatchDecision.Outcome.UNASSIGNED,
        order__status=Status.QUEUED,
        order__created_at__lt=now - PATIENCE,
    ).select_related("order")
    for decision in stuck.order_by("order__deliver_by")[:20]:
        order = decision.order
        wait = words.duration(now - order.created_at)
        yield Attention(
            key=f"no-drone:{order.pk}",
            level=8 + min(9, int((now - order.created_at).total_seconds() // 600)),
            text=f"No drone can take order {order}, waiting {wait}",
            detail=decision.why or "No drone is registered for its area.",
            url=reverse("admin:orders_order_change", args=[order.pk]),
            since=order.created_at,
            remedy_label="Assign…",
            remedy_url=reverse("admin:act", args=["orders.order", "assign"]) + f"?id={order.pk}",
        )


def missions_not_getting_through(now: datetime) -> Iterator[Attention]:
    if not settings.GCS_BRIDGE_URL:
        yield Attention(
            key="no-bridge",
            level=40,
            text="No ground control bridge is configured",
            detail="Missions are kept and not sent: set GCS_BRIDGE_URL.",
            tone=Tone.BAD,
        )
    waiting = MissionIntent.objects.filter(state=MissionIntent.State.PENDING).exclude(
        bridge_answer=""
    )
    for intent in waiting.select_related("order", "job")[:20]:
        yield Attention(
            key=f"intent:{intent.pk}",
            level=15 + min(9, intent.tries),
            text=f"The mission of order {intent.order} does not get through to ground control",
            detail=f"{intent.tries} tries. {intent.bridge_answer[:200]}",
            url=reverse("admin:orders_order_change", args=[intent.order_id]),
            since=intent.created_at,
            tone=Tone.BAD,
            remedy_label="Submit now…",
            remedy_url=reverse("admin:act", args=["orders.order", "submit"])
            + f"?id={intent.order_id}",
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
        )


def low_batteries(now: datetime) -> Iterator[Attention]:
    """Drones on a delivery with less charge than the reserve they should come home with."""
    seen = picture.read()
    if seen is None:
        return
    reserve_pct = policy.current().reserve_pct
    for job in DeliveryJob.objects.active().select_related("order"):
        sample = seen.telemetry.get(job.drone_id or "")
        if sample is None or not sample.armed or sample.battery_pct is None:
            continue
        if sample.battery_pct < reserve_pct:
            yield Attention(
                key=f"battery:{job.pk}",
                level=32 + int((reserve_pct - sample.battery_pct) // 5),
                text=f"{job.drone_id} flies with {sample.battery_pct:.0f} % battery",
                detail=f"The reserve is {reserve_pct:.0f} %. It flies order {job.order}.",
                url=reverse("admin:orders_order_change", args=[job.order_id]),
                tone=Tone.BAD,
            )


for source in (orders_without_a_drone, missions_not_getting_through, lost_links, low_batteries):
    registry.attention_sources.append(source)


# --- runs by hand, per area ----------------------------------------------------------------------


def _run(area: ServiceArea, user: Any, *, dry_run: bool) -> str:
    outcome = runs.run(
        trigger=DispatchRun.Trigger.CONSOLE, by=user.actor, service_area_id=area.pk, dry_run=dry_run
    )
    run = outcome.run
    url = reverse("admin:dispatch_dispatchrun_change", args=[run.pk])
    would = "would get" if dry_run else "got"
    return format_html(
        '{}: {} of {} queued orders {} a drone. <a class="wx-link" href="{}">See the decisions</a>',
        area,
        run.assigned,
        run.orders_considered,
        would,
        url,
    )


actions.register(
    actions.Action(
        model=ServiceArea,
        name="dispatch",
        label="Dispatch now",
        permission="dispatch.add_dispatchrun",
        carry_out=lambda area, data, user: _run(area, user, dry_run=False),
        explanation="Plans all queued orders of the area and assigns them.",
    )
)
actions.register(
    actions.Action(
        model=ServiceArea,
        name="dry-run",
        label="Dry run",
        permission="dispatch.add_dispatchrun",
        carry_out=lambda area, data, user: _run(area, user, dry_run=True),
        explanation="Decides and records what a run would do now, and assigns nothing.",
    )
)
