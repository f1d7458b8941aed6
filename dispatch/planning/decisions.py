"""The decisions of a run: one row per order with its figures and a sentence that explains it."""

from collections.abc import Mapping, Set
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

import numpy as np

from dispatch.models import DispatchDecision, DispatchRun
from dispatch.planning import explanations
from dispatch.planning.explanations import MAX_CHARS
from dispatch.planning.limits.landings import Landing
from dispatch.planning.plans import PlanResult
from fleet.feasibility.geometry import Ints
from orders.lifecycle import Assignment

Outcome = DispatchDecision.Outcome


@dataclass(frozen=True, slots=True)
class Allocation:
    """pair: the planned pair of each order (by index) that has one. assigned: ids of the orders
    that got their drone (in a dry run: would get). blocked: why an order (by index) did not get
    its planned drone. landing: the hub of each pair that starts now in a network.
    """

    pair: Mapping[int, int]
    assigned: Set[UUID]
    blocked: Mapping[int, str]
    landing: Mapping[int, Landing]


def assignment(result: PlanResult, order: int, pair: int, landing: Landing | None) -> Assignment:
    drone_id = result.drone_of(pair).pk
    return Assignment(
        order_id=result.orders[order].pk,
        drone_id=drone_id,
        why=f"{drone_id} {_why_chosen(result, pair, landing)}",
        promised_at=result.now + timedelta(seconds=float(result.options.delivery_s[pair])),
        instead_of=result.orders[order].current_job_id,
    )


def all_decisions(
    run: DispatchRun, result: PlanResult, allocation: Allocation
) -> list[DispatchDecision]:
    """One decision per order. Orders that had a drone have one only if they get another drone."""
    obstacles, soonest_now_s = (
        explanations.obstacles(result.verdicts, result.now),
        result.soonest_now_s(),
    )
    runners_up = result.plan.runners_up
    used = np.union1d(runners_up[runners_up >= 0], np.array(list(allocation.pair.values()), int))
    figures = _figures(result, used)
    return [
        _decision(run, result, i, allocation, obstacles[i], float(soonest_now_s[i]), figures)
        for i in range(len(result.orders))
        if result.orders[i].current_job_id is None or i in allocation.pair
    ]


def _decision(
    run: DispatchRun,
    result: PlanResult,
    i: int,
    allocation: Allocation,
    obstacles: explanations.Obstacles,
    soonest_now_s: float,
    figures: Mapping[int, dict[str, Any]],
) -> DispatchDecision:
    order, pair = result.orders[i], allocation.pair.get(i)
    decision = DispatchDecision(
        run_id=run.pk,
        order_id=order.pk,
        outcome=Outcome.UNASSIGNED,
        runners_up=[
            figures[pair] | {"regret": _regret(regret)}
            for pair, regret in zip(
                result.plan.runners_up[i].tolist(), result.plan.regret[i].tolist(), strict=True
            )
            if pair >= 0
        ],
        ruled_out=[*_not_yet_counts(result, i), *obstacles.counts],
        nearest=obstacles.nearest,
        why=allocation.blocked.get(i) or _why_not_yet(result, i) or obstacles.text,
    )
    if pair is None:
        if decision.runners_up and i not in allocation.blocked:
            decision.why = _served_better(decision.runners_up[0])
        return decision
    decision.drone_id = result.drone_of(pair).pk
    landing = allocation.landing.get(pair)
    decision.figures = figures[pair] | _at_the_hub(landing)
    if not result.starts_now(pair):
        decision.outcome = Outcome.WAITING
        decision.able_at = result.now + timedelta(seconds=float(result.options.wait_s[pair]))
        decision.why = _why_waiting(result, pair, soonest_now_s)
    elif order.pk in allocation.assigned:
        decision.outcome = Outcome.ASSIGNED
        decision.why = f"{decision.drone_id} {_why_chosen(result, pair, landing)}"
    else:
        decision.outcome = Outcome.OVERTAKEN
        decision.why = allocation.blocked.get(
            i, f"The order or {decision.drone_id} changed while this run was planning."
        )
    return decision


# --- sentences -----------------------------------------------------------------------------------


def _why_chosen(result: PlanResult, pair: int, landing: Landing | None) -> str:
    options = result.options
    energy_pct = landing.energy_pct if landing else options.energy_pct[pair]
    text = (
        f"takes {options.delivery_s[pair] / 60:.0f} min to the door and "
        f"{energy_pct:.0f} % of its battery, of {options.battery_pct[pair]:.0f} % that it has"
    )
    return f"{text}. It {landing}." if landing else f"{text}."


def _why_not_yet(result: PlanResult, i: int) -> str:
    """“Osu closes at 18:00, and WX-DRN-007 would be loaded at 18:04. It opens on …”."""
    return " ".join(reason.message for reason in result.not_yet.get(i, []))[:MAX_CHARS]


def _why_waiting(result: PlanResult, pair: int, soonest_now_s: float) -> str:
    """“Waits for WX-DRN-007, able in about 2 min: 9 min to the door, 6 min sooner than …”."""
    wait_s, delivery_s = result.options.wait_s[pair], result.options.delivery_s[pair]
    drone_id = result.drone_of(pair).pk
    if result.waits_for_parcel(pair):
        return (
            f"{drone_id} is sent in {_about(wait_s)}, so that it arrives when the parcel is ready: "
            f"{_about(delivery_s)} to the door."
        )
    text = f"Waits for {drone_id}, able in {_about(wait_s)}: {_about(delivery_s)} to the door"
    if np.isinf(soonest_now_s):
        return f"{text}. No drone can start now."
    saved_s = soonest_now_s - delivery_s
    if saved_s >= 30:
        return f"{text}, {_about(saved_s)} sooner than by a drone that could start now."
    return (
        f"{text}. Drones that could start now ({_about(soonest_now_s)}) serve other orders better."
    )


def _about(seconds: float) -> str:
    return f"about {max(1, round(seconds / 60))} min"


def _served_better(best: dict[str, Any]) -> str:
    when = f"able in {_about(best['wait_s'])}, " if best["wait_s"] else ""
    return (
        f"Every able drone serves another order better; the best, {best['drone_id']}, {when}would "
        f"take {best['delivery_s'] / 60:.0f} min to the door."
    )


# --- figures -------------------------------------------------------------------------------------


def _figures(result: PlanResult, pairs: Ints) -> dict[int, dict[str, Any]]:
    """The numbers of each of these pairs, as JSON."""
    options = result.options
    columns = (
        *(options.drone, options.wait_s, options.delivery_s, options.home_s),
        *(options.energy_pct, options.distance_m, result.plan.cost),
    )
    rows = zip(pairs.tolist(), *(column[pairs].tolist() for column in columns), strict=True)
    return {
        pair: {
            "drone_id": result.drones[drone].pk,
            "wait_s": round(wait_s),
            "delivery_s": round(delivery_s, 1),
            "busy_s": round(home_s, 1),
            "energy_pct": round(energy_pct, 1),
            "distance_m": round(distance_m),
            "cost": round(cost, 3),
        }
        for pair, drone, wait_s, delivery_s, home_s, energy_pct, distance_m, cost in rows
    }


def _not_yet_counts(result: PlanResult, i: int) -> list[dict[str, Any]]:
    """Why an order waits for a place or its parcel, as reasons against every drone of the plan."""
    return [
        {"code": reason.code, "drones": len(result.drones)} for reason in result.not_yet.get(i, [])
    ]


def _at_the_hub(landing: Landing | None) -> dict[str, Any]:
    """The numbers that depend on the hub, in place of those of the plan."""
    if landing is None:
        return {}
    return {
        "busy_s": round(landing.busy_s, 1),
        "energy_pct": round(landing.energy_pct, 1),
        "distance_m": round(landing.distance_m),
        "lands_at": landing.hub.name,
        "alternate": landing.alternate.name if landing.alternate else None,
    }


def _regret(regret: float) -> float | None:
    """The minimum cost of choosing this pair instead, in weighted seconds. None if an order would
    lose its drone to it.
    """
    return round(regret, 1) if np.isfinite(regret) else None
