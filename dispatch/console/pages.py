"""Registers dispatch in the console: actions, sections of pages, map layers, attention lines."""

import json
from collections.abc import Iterator
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from typing import Any

from django.db.models import QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils import timezone

from dispatch.console import attention, attention_doubts, clearances, paused, pilots, replay_pages
from dispatch.console.orders import actions as order_actions
from dispatch.console.orders import now as order_now
from dispatch.console.orders import parcel_actions
from dispatch.console.presentation import (
    INTENT_TONE,
    OUTCOME_TONE,
    compared,
    regret,
    ruled_out,
    said,
)
from dispatch.missions.following import tracks
from dispatch.missions.replay.thinning import thinned
from dispatch.models import DispatchDecision, DispatchRun, Flight, MissionPart, PilotChange
from dispatch.planning import runs
from fleet import policy
from fleet.console.map_pages import drone_feature
from fleet.console.pages import switch_of_area, switch_of_everything
from fleet.live import drone_status
from fleet.models import Drone, ServiceArea
from orders.console import order_page, tabs
from orders.console.attention import by_rank
from orders.console.pages import MAX_ON_MAP, features_of, watch_of
from orders.models import DeliveryEvent, Order
from orders.states import EventType
from wingxtra.accounts.identity import ActorKind
from wingxtra.console import actions, dashboard, registry, roles, watches
from wingxtra.console.admin import badge, moment, said_by
from wingxtra.console.registry import Feature, Layer, Section, Tone, add_section
from wingxtra.console.widgets import tiles

roles.seen_by_all(
    "dispatch.view_dispatchrun",
    "dispatch.view_dispatchdecision",
    "dispatch.view_mission",
    "dispatch.view_discrepancy",
    "dispatch.view_publishingpause",
    "dispatch.view_whatif",
)
roles.done_by_ops("dispatch.add_dispatchrun", "dispatch.add_whatif")
watches.watch(Order, watch_of(*order_actions.CHANGES_THE_FLIGHT), "abort", "requeue")
actions.register(*order_actions.ACTIONS, *parcel_actions.ACTIONS)
for shown in (attention_doubts, attention, clearances):
    registry.attention_sources += shown.SOURCES
    for ids in shown.ORDERS:
        tabs.needs_attention(ids)


# --- on an order's page --------------------------------------------------------------------------


def _decision_of(order: Order) -> tuple[QuerySet[DispatchDecision], QuerySet[DeliveryEvent]]:
    """The latest decision, but of dry runs, which decide nothing; and the latest assignment."""
    real = order.decisions.filter(run__dry_run=False).select_related("run").order_by("-id")
    given = order.history().filter(type__in=(EventType.ASSIGNED, EventType.REASSIGNED))
    return real[:1], given.order_by("-id")[:1]


def decision(
    order: Order, request: HttpRequest, latest: list[DispatchDecision], given: list[DeliveryEvent]
) -> Section:
    """The latest run's decision, and the person who chose the drone, if one did."""
    context = {
        "decision": decision_context(latest[0]) if latest else None,
        "by_hand": by_hand(given[0]) if given else None,
    }
    return Section("Dispatch decision", "console/order/decision.html", context)


def by_hand(given: DeliveryEvent) -> dict[str, Any] | None:
    """The person who chose the drone at this assignment; None if a run did."""
    if given.actor_kind not in (ActorKind.USER, ActorKind.API_KEY):
        return None
    return {
        "who": order_page.actor_name(given),
        "at": moment(given.occurred_at),
        "why": given.message,
    }


def decision_context(decision: DispatchDecision) -> dict[str, Any]:
    return {
        "outcome": badge(decision.get_outcome_display(), OUTCOME_TONE[decision.outcome]),
        "why": decision.why,
        "at": moment(decision.run.started_at),
        "run_url": reverse("admin:dispatch_dispatchrun_change", args=[decision.run_id]),
        "runners_up": [
            {
                **other,
                "because": compared(other, decision.figures),
                "instead": regret(other) if "regret" in other else "",
            }
            for other in decision.runners_up
        ],
        "ruled_out": ruled_out(decision.ruled_out),
    }


def _missions_of(order: Order) -> tuple[QuerySet[MissionPart], QuerySet[PilotChange]]:
    parts = order.parts.select_related("mission__clearance", "job")
    changes = PilotChange.objects.filter(mission__parts__order=order)
    return parts.order_by("-mission__created_at"), changes


def missions_of(
    order: Order, request: HttpRequest, parts: list[MissionPart], changes: list[PilotChange]
) -> Section:
    zone = order.service_area.zone
    rows = [
        {
            "mission": part.mission,
            "attempt": part.job.attempt,
            "state": badge(part.mission.get_state_display(), INTENT_TONE[part.mission.state]),
            "clearance": clearances.of_mission(part.mission),
            "url": reverse("admin:dispatch_mission_change", args=[part.mission_id]),
            "replay": replay_pages.url_of(part.job_id),
            "sent": moment(part.mission.accepted_at, zone=zone),
            "over": moment(part.mission.over_at, zone=zone),
            "over_by": said_by(part.mission.over_by),
            "pilot": pilots.in_words(part.mission, changes, zone),
            "said": said(part.mission.bridge_status, part.mission.bridge_answer),
            "body": json.dumps(part.mission.body, indent=2),
        }
        for part in parts
    ]
    context = {"rows": rows, "zone": zone}
    return Section("Missions", "console/order/missions.html", context)


def not_believed(drone: Drone, request: HttpRequest) -> Section | None:
    """The latest disbelieved value of the drone's latest flight."""
    flown = Flight.objects.filter(job__drone=drone).select_related("job__order")
    flight = flown.order_by("-job__created_at").first()
    words = flight.state.get("disbelieved") if flight else ""
    if flight is None or not words:
        return None
    context = {
        "words": words,
        "at": moment(datetime.fromtimestamp(flight.state["disbelieved_at"], UTC)),
        "order": flight.job.order,
        "url": reverse("admin:orders_order_change", args=[flight.job.order_id]),
    }
    return Section("Not believed in flight", "console/drone/not_believed.html", context)


def plan_on_the_map(run: DispatchRun, request: HttpRequest) -> Section | None:
    """Which drone a run sends to which pickup, from the drones' present positions."""
    now = timezone.now()
    assigned = run.decisions.filter(outcome=DispatchDecision.Outcome.ASSIGNED, drone__isnull=False)
    related = assigned.select_related("order__current_job", "drone__hub", "drone__kind")
    chosen = list(related.order_by(by_rank("order__"), "order__deliver_by")[:MAX_ON_MAP])
    if not chosen:
        return None
    features: list[Feature] = []
    drones = [decision.drone for decision in chosen if decision.drone]
    for decision, seen in zip(chosen, drone_status.live_drones(drones, now), strict=True):
        features += features_of(decision.order, now)
        if drone := drone_feature(seen, now):
            features += [drone, _way_to_the_pickup(drone, decision.order)]
    count = assigned.count() if len(chosen) == MAX_ON_MAP else len(chosen)
    left_out = f"{MAX_ON_MAP} of {count:,} orders are shown, the most urgent."
    context = {
        "features": [asdict(f) for f in features],
        "tiles": tiles(),
        "left_out": left_out if count > MAX_ON_MAP else "",
    }
    title = "What it would do" if run.dry_run else "What it did"
    return Section(title, "console/order/where.html", context)


def _way_to_the_pickup(drone: Feature, order: Order) -> Feature:
    way = [drone.geometry["coordinates"], [order.pickup_lng, order.pickup_lat]]
    line = {"type": "LineString", "coordinates": way}
    return Feature(
        f"way-{order}", "line", line, f"{drone.label} to the pickup of {order}", Tone.BUSY
    )


TRAIL = timedelta(minutes=5)


TRAIL_POINTS = 60


def _trails(now: datetime, only: str) -> registry.QuerySets:
    return tracks.stored_since(now - TRAIL)


def trails(now: datetime, only: str, pieces: list[Any], flights: list[Any]) -> Iterator[Feature]:
    """The recent track of each drone on a delivery, thinned; the map extends it."""
    for drone_id, points in tracks.latest(now - TRAIL, pieces, flights).items():
        runs = thinned(points, TRAIL_POINTS)
        lines = [[[round(p.lng, 5), round(p.lat, 5)] for p in run] for run in runs if len(run) > 1]
        if lines:
            geometry = {"type": "MultiLineString", "coordinates": lines}
            name = f"Trail of {drone_id}"
            yield Feature(f"trail-{drone_id}", "trail", geometry, name, of=f"drone-{drone_id}")


registry.layers.append(
    Layer("trails", "Trails", _trails, trails, "orders.view_order", is_static=True)
)
add_section(DispatchRun, 10, plan_on_the_map)
add_section(Drone, 15, not_believed)
add_section(Order, 4, paused.section)
add_section(Order, 5, order_now.where, order_now.read)
add_section(Order, 50, decision, _decision_of)
add_section(Order, 60, missions_of, _missions_of)


# --- runs by hand, per area ----------------------------------------------------------------------


def switches(user: Any) -> list[registry.Switch]:
    """Switches above the list of runs: one for everything, one per area with its manual runs."""
    here, rules = reverse("admin:dispatch_dispatchrun_changelist"), policy.current()
    found = [switch_of_everything(rules, next=here)]
    for area in ServiceArea.objects.filter(active=True):
        by_hand = (
            actions.button(ServiceArea, "dry-run", area.pk),
            actions.button(ServiceArea, "dispatch", area.pk),
        )
        found.append(switch_of_area(area, rules, next=here, more=by_hand))
    return [dashboard.usable(switch, user) for switch in found]


def _run(area: ServiceArea, user: Any, *, dry_run: bool) -> actions.Created:
    outcome = runs.run(
        trigger=DispatchRun.Trigger.CONSOLE, by=user.actor, service_area_id=area.pk, dry_run=dry_run
    )
    run = outcome.run
    url = reverse("admin:dispatch_dispatchrun_change", args=[run.pk])
    would = "would get" if dry_run else "got"
    of_how_many = f"{run.assigned} of {run.orders_considered}"
    return actions.Created(url, f"{area}: {of_how_many} queued orders {would} a drone.")


actions.register(
    actions.Action(
        model=ServiceArea,
        name="dispatch",
        label="Dispatch now",
        permission="dispatch.add_dispatchrun",
        carry_out=lambda area, data, user: _run(area, user, dry_run=False),
        explanation="Plans all queued orders of the area and assigns them.",
    ),
    actions.Action(
        model=ServiceArea,
        name="dry-run",
        label="Dry run",
        permission="dispatch.add_dispatchrun",
        carry_out=lambda area, data, user: _run(area, user, dry_run=True),
        explanation="Decides and records what a run would do now, and assigns nothing.",
    ),
)
