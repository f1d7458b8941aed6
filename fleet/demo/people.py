"""The demo's users: merchants who place orders, customers who enter their code, an operator.

They use only the REST API, like real users.
"""

import random
from dataclasses import dataclass, field
from datetime import datetime
from itertools import cycle
from typing import Any

from fleet.demo import city
from fleet.demo.calls import Calls, DemoFailed
from fleet.demo.seed import Credentials

TERMINAL = {"DELIVERED", "CANCELED", "FAILED", "ABORTED"}
PLACING_TRIES = 20  # a random drop point may be in a no-fly zone


# Refusals of a place or a trip. Others, like 401, are faults of the demo.
REFUSED = {400, 409, 422}


class Unserved(Exception):
    """A shop that cannot send at the moment, as in a new no-fly zone; the message says why."""


@dataclass
class Story:
    """One order and the events read so far."""

    order: dict[str, Any]
    shop: str
    otp_code: str | None
    events: list[dict[str, Any]] = field(default_factory=list)
    status: str = "CREATED"
    proof: str | None = None

    @property
    def id(self) -> str:
        return str(self.order["id"])

    @property
    def is_over(self) -> bool:
        return self.status in TERMINAL and (self.status != "DELIVERED" or bool(self.proof))

    def at(self, event_type: str) -> datetime | None:
        """When an event of this type last occurred."""
        times = [e["occurred_at"] for e in self.events if e["type"] == event_type]
        return datetime.fromisoformat(times[-1]) if times else None

    def promised_at(self) -> datetime | None:
        """The expected delivery time of the last assignment."""
        promises = [e["payload"]["promised_at"] for e in self.events if e["type"] == "ASSIGNED"]
        return datetime.fromisoformat(promises[-1]) if promises else None

    def drone_id(self) -> str | None:
        drones = [e["payload"].get("drone_id") for e in self.events if "drone_id" in e["payload"]]
        return drones[-1] if drones else None


class People:
    def __init__(self, base_url: str, credentials: Credentials, seed: int) -> None:
        self.call = Calls(f"{base_url}/api/v1")
        self.credentials = credentials
        self.rng = random.Random(seed)  # noqa: S311 (repeatable, not secret)
        self.stories: list[Story] = []
        self.stores: dict[str, str] = {}
        self.shops = cycle(city.SHOPS)

    def place_order(self) -> Story:
        """Places an order for a random customer of the next shop.

        Raises Unserved and DemoFailed.
        """
        shop = next(self.shops)
        key = self.credentials.shop_keys[shop.name]
        store_id = self._store_of(shop, key)
        for _ in range(PLACING_TRIES):
            sent = city.order_of(shop, store_id, self.rng)
            answer = self.call("POST", "/orders", key, json=sent)
            if answer.status_code == 201:
                order = answer.json()
                story = Story(order, shop.name, order.pop("otp_code", None))
                self.stories.append(story)
                return story
            if answer.status_code not in REFUSED:
                raise DemoFailed(
                    f"An order of {shop.name}: {answer.status_code} {answer.text[:400]}"
                )
            if _is_about_the_pickup(answer):
                break
        raise Unserved(f"{shop.name} is skipped: {_reason(answer)}")

    def _store_of(self, shop: city.Shop, key: str) -> str:
        """The id of the shop's store: a new one, or that of a previous demo.

        Raises Unserved and DemoFailed.
        """
        if shop.name not in self.stores:
            answer = self.call("POST", "/stores", key, json=city.store_of(shop))
            if answer.status_code in (400, 422):
                raise Unserved(f"{shop.name} is skipped: {_reason(answer)}")
            if answer.status_code not in (201, 409):
                raise DemoFailed(f"The store of {shop.name}: {answer.text[:400]}")
            body = answer.json()
            self.stores[shop.name] = body["id"] if answer.ok else body["store_id"]
        return self.stores[shop.name]

    def catch_up(self) -> list[tuple[Story, dict[str, Any]]]:
        """The new events of all open orders, oldest first per order; submits due proofs."""
        new = []
        for story in [story for story in self.stories if not story.is_over]:
            answer = self.call(
                "GET", f"/orders/{story.id}/events?page_size=100", self.credentials.ops_key
            )
            if not answer.ok:
                raise DemoFailed(
                    f"The events of {story.id}: {answer.status_code} {answer.text[:200]}"
                )
            fresh = answer.json()["items"][len(story.events) :]
            story.events += fresh
            new += [(story, event) for event in fresh]
            self._update_status(story)
            self._give_proof(story)
        return new

    def _update_status(self, story: Story) -> None:
        transitions = [e["type"] for e in story.events]
        for event_type in reversed(transitions):
            if event_type == "REQUEUED":
                story.status = "QUEUED"
            elif event_type in STATUS_EVENTS:
                story.status = event_type
            else:
                continue
            break

    def _give_proof(self, story: Story) -> None:
        """Submits the customer's code, or the operator's confirmation if there is no code."""
        if story.proof or story.status not in ("ARRIVED", "DELIVERING", "DELIVERED"):
            return
        if story.otp_code:
            path = f"/tracking/{story.order['public_tracking_id']}/otp"
            answer = self.call("POST", path, json={"otp_code": story.otp_code})
            method = "OTP"
        else:
            answer = self.call(
                "POST",
                f"/orders/{story.id}/pod",
                self.credentials.ops_key,
                json={"method": "OPERATOR_CONFIRM", "operator_name": "Demo operator"},
            )
            method = "OPERATOR_CONFIRM"
        if answer.ok:
            story.proof = method
        elif answer.status_code != 409:  # 409: the drone has not arrived or has left
            raise DemoFailed(f"Proof of {story.id}: {answer.status_code} {answer.text[:300]}")


def _is_about_the_pickup(answer: Any) -> bool:
    """Then another drop point does not help."""
    fields = [problem["field"] for problem in answer.json().get("errors", [])]
    return any(field.startswith(("pickup", "store")) for field in fields)


def _reason(answer: Any) -> str:
    return str(answer.json().get("detail", ""))[:300]


STATUS_EVENTS = {
    "VALIDATED",
    "QUEUED",
    "ASSIGNED",
    "MISSION_SUBMITTED",
    "LAUNCHED",
    "ENROUTE",
    "ARRIVED",
    "DELIVERING",
    *TERMINAL,
}
