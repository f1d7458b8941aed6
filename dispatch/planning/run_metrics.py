"""Prometheus metrics of dispatch runs and their phases."""

from collections.abc import Callable
from functools import wraps
from typing import Any, ParamSpec, TypeVar

from prometheus_client import Counter, Histogram

BUCKETS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)

runs = Counter(
    "wingxtra_dispatch_runs_total", "Runs by what started them and how they ended.",
    ["trigger", "outcome"],
)  # fmt: skip
run_seconds = Histogram("wingxtra_dispatch_run_seconds", "Whole runs.", buckets=BUCKETS)
phase_seconds = Histogram(
    "wingxtra_dispatch_phase_seconds",
    "The phases of runs that had orders to plan: load, judge, plan, record.",
    ["phase"],
    buckets=BUCKETS,
)
assigned = Counter("wingxtra_dispatch_orders_assigned_total", "Orders that runs gave to drones.")
unassigned = Counter(
    "wingxtra_dispatch_orders_unassigned_total", "Orders that a run left in the queue, each time."
)


P = ParamSpec("P")
Outcome = TypeVar("Outcome")  # runs.Outcome; runs imports this


def counted(run: Callable[P, Outcome]) -> Callable[P, Outcome]:
    """Decorates the runs of `planning.runs`. A run that raises is not counted."""

    @wraps(run)
    def counting(*args: P.args, **kwargs: P.kwargs) -> Outcome:
        with run_seconds.time():
            done: Any = run(*args, **kwargs)
        outcome = "dry" if done.run.dry_run else "assigned" if done.assigned else "nothing"
        runs.labels(done.run.trigger, outcome).inc()
        if not done.run.dry_run:
            assigned.inc(len(done.assigned))
            unassigned.inc(len(done.unassigned))
        return done

    return counting
