"""What a run decided about each order, in figures and in words; kept with the run."""

from collections.abc import Mapping, Set
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

import numpy as np

from dispatch.models import DispatchDecision, DispatchRun
from dispatch.planning import explanations
from dispatch.planning.plans import Made
from orders.lifecycle import Assignment

Outcome = DispatchDecision.Outcome


@dataclass(frozen=True, slots=True)
class Decided:
    """pair: the pair of each order (by index) that has one; got: the orders that have its drone
    now, or would have; kept_back: why an order (by index) did not get what was planned.
    """

    pair: Mapping[int, int]
    got: Set[UUID]
    kept_back: Mapping[int, str]


def assignment(made: Made, order: int, pair: int) -> Assignment:
    drone_id = made.drone_of(pair).pk
    return Assignment(
        order_id=made.orders[order].pk,
        drone_id=drone_id,
        why=f"{drone_id} {_why_chosen(made, pair)}",
        promised_at=made.now + timedelta(seconds=float(made.options.delivery_s[pair])),
        instead_of=made.orders[order].current_job_id,
    )


def of_all(this: DispatchRun, made: Made, decided: Decided) -> list[DispatchDecision]:
    """One for each order; of those that have a drone already only where they got another."""
    against, soonest_now_s = explanations.of_all(made.verdicts, made.now), made.soonest_now_s()
    return [
        _decision(this, made, i, decided, against[i], float(soonest_now_s[i]))
        for i in range(len(made.orders))
        if made.orders[i].current_job_id is None or i in decided.pair
    ]


def _decision(
    this: DispatchRun,
    made: Made,
    i: int,
    decided: Decided,
    against: explanations.Against,
    soonest_now_s: float,
) -> DispatchDecision:
    order, pair = made.orders[i], decided.pair.get(i)
    decision = DispatchDecision(
        run=this,
        order=order,
        outcome=Outcome.UNASSIGNED,
        runners_up=[
            _figures(made, int(p)) | {"regret": _regret(made, int(p))}
            for p in made.plan.runners_up[i]
            if p >= 0
        ],
        ruled_out=against.counts,
        nearest=against.nearest,
        why=decided.kept_back.get(i, against.words),
    )
    if pair is None:
        if decision.runners_up and i not in decided.kept_back:
            decision.why = _served_better(decision.runners_up[0])
        return decision
    decision.drone_id = made.drone_of(pair).pk
    decision.figures = _figures(made, pair)
    if not made.starts_now(pair):
        decision.outcome = Outcome.WAITING
        decision.able_at = made.now + timedelta(seconds=float(made.options.wait_s[pair]))
        decision.why = _why_waiting(made, pair, soonest_now_s)
    elif order.pk in decided.got:
        decision.outcome = Outcome.ASSIGNED
        decision.why = f"{decision.drone_id} {_why_chosen(made, pair)}"
    else:
        decision.outcome = Outcome.OVERTAKEN
        decision.why = decided.kept_back.get(
            i, f"The order or {decision.drone_id} changed while this run was planning."
        )
    return decision


# --- in words ------------------------------------------------------------------------------------


def _why_chosen(made: Made, pair: int) -> str:
    options = made.options
    return (
        f"takes {options.delivery_s[pair] / 60:.0f} min to the door and "
        f"{options.energy_pct[pair]:.0f} % of its battery, of "
        f"{options.battery_pct[pair]:.0f} % that it has."
    )


def _why_waiting(made: Made, pair: int, soonest_now_s: float) -> str:
    """“Waits for WX-DRN-007, able in about 2 min: 9 min to the door, 6 min sooner than …”."""
    wait_s, delivery_s = made.options.wait_s[pair], made.options.delivery_s[pair]
    drone_id = made.drone_of(pair).pk
    words = f"Waits for {drone_id}, able in {_about(wait_s)}: {_about(delivery_s)} to the door"
    if np.isinf(soonest_now_s):
        return f"{words}. No drone can start now."
    saved_s = soonest_now_s - delivery_s
    if saved_s >= 30:
        return f"{words}, {_about(saved_s)} sooner than by a drone that could start now."
    return (
        f"{words}. Those that could start now ({_about(soonest_now_s)}) are of more use elsewhere."
    )


def _about(seconds: float) -> str:
    return f"about {max(1, round(seconds / 60))} min"


def _served_better(best: dict[str, Any]) -> str:
    when = f"able in {_about(best['wait_s'])}, " if best["wait_s"] else ""
    return (
        f"Every able drone serves another order better; the best, {best['drone_id']}, {when}would "
        f"take {best['delivery_s'] / 60:.0f} min to the door."
    )


# --- in figures ----------------------------------------------------------------------------------


def _figures(made: Made, pair: int) -> dict[str, Any]:
    """A pair's numbers, as a decision keeps them."""
    options = made.options
    return {
        "drone_id": made.drone_of(pair).pk,
        "wait_s": round(float(options.wait_s[pair])),
        "delivery_s": round(float(options.delivery_s[pair]), 1),
        "busy_s": round(float(options.home_s[pair]), 1),
        "energy_pct": round(float(options.energy_pct[pair]), 1),
        "distance_m": round(float(options.distance_m[pair])),
        "cost": round(float(made.plan.cost[pair]), 3),
    }


def _regret(made: Made, pair: int) -> float | None:
    """What this pair instead would cost the plan at the least; None where an order would lose its
    drone to it.
    """
    regret = float(made.plan.regret[pair])
    return round(regret, 1) if np.isfinite(regret) else None
