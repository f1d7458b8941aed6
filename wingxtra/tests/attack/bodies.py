"""Tries with large and odd bodies."""

import json

from orders.states import PodRequirement, Status
from orders.tests.factories import order_in
from wingxtra.accounts.identity import Role
from wingxtra.accounts.models import ApiKey
from wingxtra.accounts.tests.factories import MerchantFactory
from wingxtra.tests import cpu
from wingxtra.tests.attack.stack import Seen, Stack, Visitor
from wingxtra.tests.edge import master_of

UNKNOWN_KEYS = 70_000
POINTS = 10_000
MAY_COST_S = 0.5
MAY_ANSWER_BYTES = 20_000


def many_unknown_keys(stack: Stack) -> Seen:
    """70,000 unknown keys in a body, anonymous"""
    body = json.dumps({f"k{number}": 1 for number in range(UNKNOWN_KEYS)})
    with cpu.measured(master_of(stack.behind).pid) as cost:
        answer = Visitor(stack.behind).post(
            "/api/v1/auth/token", data=body, headers={"Content-Type": "application/json"}
        )
    return Seen(
        f"{answer.status_code}, {cost.all_s:.2f} s of CPU for {len(body):,} bytes, "
        f"answer of {len(answer.content):,}",
        answer.status_code in (400, 413)
        and cost.all_s < MAY_COST_S
        and len(answer.content) < MAY_ANSWER_BYTES,
    )


def a_huge_signature(stack: Stack) -> Seen:
    """a signature of 10,000 points, anonymous, for an order that takes none yet"""
    order = order_in(Status.QUEUED, pod_requirement=PodRequirement.SIGNATURE)
    # From corner to corner: the longest lines, and so the most to draw.
    stroke = [[index % 2 * 1000, index // 2 % 2 * 400] for index in range(POINTS)]
    path = f"/api/v1/tracking/{order.public_tracking_id}/signature"
    with cpu.measured(master_of(stack.behind).pid) as cost:
        answer = Visitor(stack.behind).post(path, json={"signature": [stroke]})
    return Seen(
        f"{answer.status_code} ({answer.json().get('code')}), {cost.all_s:.2f} s of CPU",
        400 <= answer.status_code < 500 and cost.all_s < MAY_COST_S,
    )


def a_long_email_address(stack: Stack) -> Seen:
    """an order with an e-mail address of 255 characters"""
    _, key = ApiKey.issue(name="till", role=Role.MERCHANT, merchant=MerchantFactory())
    visitor = Visitor(stack.behind, **{"X-API-Key": key})
    statuses = [
        visitor.post("/api/v1/orders", json=order_body(customer_email=email_of(length))).status_code
        for length in (254, 255)
    ]
    return Seen(f"254: {statuses[0]}, 255: {statuses[1]}", statuses[0] < 500 and statuses[1] == 400)


def email_of(length: int) -> str:
    """A valid address: no label of its domain has more than 63 characters."""
    domain = ".".join(["a" * 60] * 3) + ".example"
    return "k" * (length - len(domain) - 1) + "@" + domain


def order_body(**more: str) -> dict[str, object]:
    """The body of an order inside the service area of the factories."""
    return {
        "pickup_lat": 5.6037,
        "pickup_lng": -0.1870,
        "dropoff_lat": 5.6150,
        "dropoff_lng": -0.1750,
        "payload_weight_kg": 0.8,
        **more,
    }
