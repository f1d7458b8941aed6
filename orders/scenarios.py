"""What a merchant may ask of a test order. `dispatch.testmode` flies it."""

from datetime import datetime, timedelta

from orders.models import Order
from orders.states import PodRequirement, Scenario
from wingxtra.accounts.identity import Actor, ActorKind
from wingxtra.problems import FieldProblem

TEST_MODE = Actor(ActorKind.SYSTEM, "test mode")
# Scenarios about the promise set `deliver_by` themselves, this long after work may start. A test
# flight takes a minute, so it cannot be late for the usual promise of an hour.
PROMISES: dict[str, timedelta] = {
    Scenario.AT_RISK: timedelta(seconds=80),
    Scenario.LATE: timedelta(seconds=40),
}
NEEDS_A_CODE = (Scenario.WRONG_OTP, Scenario.CODE_LOCKED)


def problems(order: Order, now: datetime) -> list[FieldProblem]:
    """Set the scenario and the promise of a new test order; returns what speaks against them."""
    scenario = order.test_scenario
    if order.live_mode:
        message = "Only with a test key (wx_test_…) is an order a test."
        return [FieldProblem("test_scenario", "test_key_needed", message)] if scenario else []
    if scenario == "":
        order.test_scenario = Scenario.DELIVERED
    elif scenario in NEEDS_A_CODE and order.pod_requirement != PodRequirement.OTP:
        message = f"“{scenario}” needs pod_requirement OTP: there is no code."
        return [FieldProblem("test_scenario", "otp_needed", message)]
    elif scenario == Scenario.PROOF_MISSING and order.pod_requirement == PodRequirement.NONE:
        message = "“proof_missing” needs a pod_requirement: this order needs no proof."
        return [FieldProblem("test_scenario", "proof_needed", message)]
    elif promise := PROMISES.get(scenario):
        if order.deliver_by is not None:
            message = f"“{scenario}” sets deliver_by itself: leave deliver_by out."
            return [FieldProblem("deliver_by", "set_by_scenario", message)]
        order.deliver_by = max(order.not_before or now, now) + promise
    return []
