"""Prometheus metrics: missions, flights and pauses. `planning.run_metrics` counts the runs."""

from collections.abc import Iterator
from datetime import datetime

from django.db.models import Count, Min, Q
from prometheus_client.core import Metric

from dispatch.missions import bridge
from dispatch.models import Flight, Mission
from fleet import policy
from fleet.models import ServiceArea
from orders.states import JobStatus
from wingxtra.observability import metrics

State = Mission.State


def missions(now: datetime) -> Iterator[Metric]:
    """Active jobs only: there are never more of them than drones."""
    under_way = Mission.objects.filter(parts__job__status=JobStatus.ACTIVE).order_by()
    states = dict(under_way.values_list("state").annotate(count=Count("pk")))
    text = "Mission intents of jobs under way."
    counts = {(state.value,): float(states.get(state, 0)) for state in State}
    yield metrics.gauge("mission_intents", text, counts, "state")
    unsent, recalls = Q(state=State.PENDING), Q(recall_state=Mission.Recall.WANTED)
    outbox = Mission.objects.filter(unsent | recalls).aggregate(
        unsent=Count("pk", filter=unsent),
        recalls=Count("pk", filter=recalls),
        oldest=Min("created_at", filter=unsent),
    )
    text = "What the GCS bridge has not answered yet."
    waiting = {("mission",): outbox["unsent"], ("recall",): outbox["recalls"]}
    yield metrics.gauge("mission_outbox", text, waiting, "kind")
    age_s = (now - outbox["oldest"]).total_seconds() if outbox["oldest"] else 0.0
    text = "How long the oldest unsent mission waits."
    yield metrics.gauge("mission_outbox_seconds_max", text, {(): age_s})


def flights(now: datetime) -> Iterator[Metric]:
    lost = Flight.objects.filter(job__status=JobStatus.ACTIVE, link_lost_at__isnull=False)
    text = "Drones under way with an order whose telemetry has stopped."
    yield metrics.gauge("flights_link_lost", text, {(): lost.count()})


def pauses(now: datetime) -> Iterator[Metric]:
    text = "1 while automatic dispatch is paused everywhere."
    everywhere = float(policy.current().dispatch_paused)
    yield metrics.gauge("dispatch_paused", text, {(): everywhere})
    text = "Service areas in which it is paused."
    areas = ServiceArea.objects.filter(active=True, dispatch_paused=True)
    yield metrics.gauge("dispatch_areas_paused", text, {(): areas.count()})


def the_bridge(now: datetime) -> Iterator[Metric]:
    text = "1 while the circuit breaker of a system is open in any process."
    is_open = {("gcs_bridge",): float(bridge.is_breaker_open())}
    yield metrics.gauge("upstream_breaker_open", text, is_open, "system")


for source in (the_bridge, missions, flights, pauses):
    metrics.register(source.__name__, source)
