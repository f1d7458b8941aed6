"""Merchants who place orders, retry until they have an answer, and cancel some orders."""

import random
import threading
import time
from dataclasses import dataclass, field

import requests

from wingxtra.tests.drill import city
from wingxtra.tests.drill.machine import Machine

CANCELED_OF_ALL = 0.08
PATIENCE_S = 5.0  # for one answer


@dataclass
class Merchants:
    """`placed`: external_id -> order id, for orders that were answered with 201.

    took_s: seconds of each `POST /orders`, answered or not.
    """

    machine: Machine
    seed: int
    canceled_of_all: float = CANCELED_OF_ALL
    placed: dict[str, str] = field(default_factory=dict)
    unanswered: list[str] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)
    took_s: list[float] = field(default_factory=list)
    canceled: int = 0

    def __post_init__(self) -> None:
        self._keys = list(self.machine.credentials.shop_keys.values())
        self._chance = random.Random(f"{self.seed}:merchants")
        self._http = requests.Session()
        self._to_cancel: list[tuple[float, str, str]] = []

    def trade(self, stop: threading.Event, orders_per_minute: float) -> None:
        number = 0
        next_at = time.monotonic()
        while not stop.wait(max(0.0, next_at - time.monotonic())):
            next_at += 60 / orders_per_minute
            number += 1
            self._place(f"drill-{self.seed}-{number}", self._keys[number % len(self._keys)])
            while self._to_cancel and self._to_cancel[0][0] < time.monotonic():
                _, order_id, key = self._to_cancel.pop(0)
                self._cancel(order_id, key)

    def _place(self, external_id: str, key: str) -> None:
        """Retry the same request until it is answered. If the drop is refused, take another one."""
        deadline = time.monotonic() + 60
        body = {**city.order(self._chance), "external_id": external_id}
        tries = 0
        while time.monotonic() < deadline:
            asked_at = time.monotonic()
            answer = self._post("/orders", key, body, once=f"{external_id}:{tries}")
            self.took_s.append(time.monotonic() - asked_at)
            if answer is None or answer.status_code >= 500 or answer.status_code in (409, 429):
                time.sleep(0.3)
            elif answer.status_code == 201:
                self.placed[external_id] = answer.json()["id"]
                if self._chance.random() < self.canceled_of_all:
                    when = time.monotonic() + self._chance.uniform(1, 12)
                    self._to_cancel.append((when, self.placed[external_id], key))
                    self._to_cancel.sort()
                return
            else:
                self.refused.append(answer.json().get("detail", answer.text)[:200])
                body = {**city.order(self._chance), "external_id": external_id}
                tries += 1
        self.unanswered.append(external_id)

    def _cancel(self, order_id: str, key: str) -> None:
        answer = self._post(f"/orders/{order_id}/cancel", key, {"reason": "CUSTOMER_REQUEST"})
        if answer is not None and answer.ok:
            self.canceled += 1

    def _post(
        self, path: str, key: str, body: dict[str, object], once: str = ""
    ) -> requests.Response | None:
        headers = {"X-API-Key": key} | ({"Idempotency-Key": once} if once else {})
        url = f"{self.machine.url}/api/v1{path}"
        try:
            return self._http.post(url, json=body, headers=headers, timeout=PATIENCE_S)
        except requests.RequestException:
            return None
