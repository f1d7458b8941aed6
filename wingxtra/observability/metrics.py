"""Prometheus metrics at `/metrics`, the same from every web process.

- Counters and histograms of `prometheus_client` count events in web, worker and scheduler
  processes. Each process adds its counts to sums in Redis every few seconds (`share`), and the sums
  are shown.
  If Redis loses its data they start at zero, as after a restart. A process that is killed loses its
  last seconds; a push whose response is lost may count twice.
- Gauges (waiting orders, age of the fleet picture) are read from database and Redis at each scrape,
  by functions that apps `register` in their `metrics.py`. They use few statements, whose cost does
  not grow with the history.

Names start with `wingxtra_`. Labels have few values, never an id.
"""

import atexit
import json
import os
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from functools import partial
from typing import Any

import redis
import structlog
from django.db.utils import InterfaceError, OperationalError
from django.http import HttpRequest, HttpResponseBase
from django.utils import timezone
from prometheus_client import REGISTRY, Counter, Histogram, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from wingxtra import redis_client
from wingxtra.problems import Problem

log = structlog.get_logger(__name__)

SUMS = "wingxtra:metrics"
SHARE_EVERY_S = 2.0
# Several scrapers, or a frequent one, cost no more than one.
CACHE_S = 3.0

Source = Callable[[datetime], Iterable[Metric]]
_sources: dict[str, Source] = {}


def register(name: str, source: Source) -> None:
    """Show the metrics of `source(now)`. If it fails, they are missing and its `up` gauge is 0."""
    _sources[name] = source


def gauge(name: str, text: str, values: Mapping[Any, float], *labels: str) -> Metric:
    """A gauge with one value per tuple of label values; `{(): value}` without labels."""
    family = GaugeMetricFamily(f"wingxtra_{name}", text, labels=labels)
    for names, value in values.items():
        family.add_metric(names, value)
    return family


# --- HTTP requests and calls to external systems -------------------------------------------------

http_requests = Counter(
    "wingxtra_http_requests_total", "Requests by status.", ["method", "route", "status"]
)
http_seconds = Histogram(
    "wingxtra_http_seconds",
    "Duration of requests.",
    ["method", "route"],
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10),
)
upstream_calls = Counter(
    "wingxtra_upstream_calls_total",
    "Calls to external systems; `outcome` is ok or an error code.",
    ["system", "outcome"],
)
upstream_seconds = Histogram(
    "wingxtra_upstream_seconds",
    "Duration of these calls.",
    ["system"],
    buckets=(0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30),
)
METHODS = {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"}


class HttpMetrics:
    """Middleware. A route is the URL pattern, so that ids do not become labels."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        started = time.perf_counter()
        response = self.get_response(request)
        found = request.resolver_match
        route = found.route if found else "none"
        method = request.method if request.method in METHODS else "other"
        http_requests.labels(method, route, str(response.status_code)).inc()
        http_seconds.labels(method, route).observe(time.perf_counter() - started)
        return response


@contextmanager
def calling(system: str) -> Iterator[None]:
    """Count and time one call to an external system. An exception is its outcome."""
    started = time.perf_counter()
    outcome = "ok"
    try:
        yield
    except Problem as problem:
        outcome = problem.code
        raise
    except Exception as error:
        outcome = type(error).__name__
        raise
    finally:
        upstream_calls.labels(system, outcome).inc()
        upstream_seconds.labels(system).observe(time.perf_counter() - started)


# --- sums of all processes -----------------------------------------------------------------------

_pushed: dict[str, float] = {}
_push_lock = threading.Lock()
_stop = threading.Event()


def share() -> None:
    """Start adding this process's counts to the sums, until `stop_sharing` or the exit."""
    _stop.clear()
    threading.Thread(target=_keep_pushing, name="metrics", daemon=True).start()


def stop_sharing() -> None:
    if not _stop.is_set():
        _stop.set()
        _push_quietly()


def _keep_pushing() -> None:
    while not _stop.wait(SHARE_EVERY_S):
        _push_quietly()


def _push_quietly() -> None:
    try:
        push()
    except redis.RedisError as error:
        log.warning("metrics_have_no_redis", error=str(error))


def push() -> None:
    """Add the counts since the last push. After a RedisError, the next push adds them."""
    with _push_lock:
        counted = {
            _key(sample.name, sample.labels): sample.value
            for family in _own_families()
            for sample in family.samples
        }
        changes = {
            key: value - _pushed.get(key, 0.0)
            for key, value in counted.items()
            if value != _pushed.get(key, 0.0)
        }
        if not changes:
            return
        redis_client.ask(partial(_add, changes))
        _pushed.update(counted)


def _add(changes: Mapping[str, float], client: redis.Redis) -> None:
    with client.pipeline() as pipe:
        for key, change in changes.items():
            pipe.hincrbyfloat(SUMS, key, change)
        pipe.execute()


def _after_fork() -> None:
    """The parent pushes the counts from before the fork, and a child has none of its threads."""
    global _push_lock
    _push_lock = threading.Lock()
    _stop.set()
    for family in _own_families():
        for sample in family.samples:
            _pushed[_key(sample.name, sample.labels)] = sample.value


os.register_at_fork(after_in_child=_after_fork)
_stop.set()
atexit.register(stop_sharing)


def _own_families() -> Iterator[Metric]:
    """The counters and histograms of this process, without their creation times."""
    for family in REGISTRY.collect():
        if family.name.startswith("wingxtra_"):
            family.samples = [s for s in family.samples if not s.name.endswith("_created")]
            yield family


def _key(name: str, labels: dict[str, str]) -> str:
    return json.dumps([name, labels], sort_keys=True)


class _Sums(Collector):
    """The sums as this process's metric families: all processes import the same ones."""

    def collect(self) -> Iterator[Metric]:
        sums: dict[str, dict[str, float]] = defaultdict(dict)
        stored: Any = redis_client.ask(lambda client: client.hgetall(SUMS))
        for key, value in stored.items():
            name, _ = json.loads(key)
            sums[name][key.decode()] = float(value)
        for family in _own_families():
            shown = Metric(family.name, family.documentation, family.type)
            known = {_key(s.name, s.labels): 0.0 for s in family.samples}
            suffixes = ("_total",) if family.type == "counter" else ("_bucket", "_count", "_sum")
            for suffix in suffixes:
                known |= sums[family.name + suffix]
            for key in sorted(known, key=_place):
                name, labels = json.loads(key)
                shown.add_sample(name, labels, known[key])
            yield shown


def _place(key: str) -> tuple[str, str, float]:
    """Sort key: samples with the same labels together, buckets first in ascending order."""
    name, labels = json.loads(key)
    limit = float(labels.pop("le", "inf"))
    return json.dumps(labels, sort_keys=True), name, limit


# --- exposition ----------------------------------------------------------------------------------

_shown_lock = threading.Lock()
_shown: tuple[float, bytes] = (float("-inf"), b"")


def exposition() -> bytes:
    """All metrics in Prometheus' text format, at most CACHE_S seconds old."""
    global _shown
    with _shown_lock:
        made_at, text = _shown
        if time.monotonic() - made_at > CACHE_S:
            text = generate_latest(_Everything())
            _shown = time.monotonic(), text
    return text


class _Everything(Collector):
    def collect(self) -> Iterator[Metric]:
        up: dict[tuple[str, ...], float] = {}
        now = timezone.now()
        no_database = False
        for name, source in {"counted": _counted, **_sources}.items():
            up[(name,)] = 0.0
            if no_database:  # wait for its timeout once, not once per source
                continue
            try:
                yield from list(source(now))
                up[(name,)] = 1.0
            except Exception as error:  # noqa: BLE001 (one broken source must not hide the others)
                log.warning("metrics_source_failed", source=name, error=type(error).__name__)
                no_database = isinstance(error, OperationalError | InterfaceError)
        text = "Whether this source could be read: 0 if database or Redis is down, or for a bug."
        yield gauge("metrics_source_up", text, up, "source")


def _counted(now: datetime) -> Iterator[Metric]:
    push()
    yield from _Sums().collect()
