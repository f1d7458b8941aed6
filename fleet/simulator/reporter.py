"""Sends mission events to the delivery API, with retries and in order per mission.

`Mission.next_report` decides on order and time; faults may change both.
"""

import logging
import threading
import time

import requests

from fleet.simulator.missions import Mission, MissionEvent
from fleet.simulator.world import World

POLL_EVERY_S = 0.05
TIMEOUT_S = 5.0
FIRST_PAUSE_S = 0.2
MAX_PAUSE_S = 10.0
LONGEST_WAIT_S = 60.0  # when it is told to wait
# And every 5xx. 401 and 403 succeed once the key is corrected.
RETRYABLE_STATUSES = {401, 403, 408, 425, 429}

log = logging.getLogger(__name__)


class Reporter(threading.Thread):
    """POSTs every unanswered event to {url}/api/v1/orders/{order_id}/events, or, without an order,
    to {url}/api/v1/mission-intents/{intent_id}/events.
    """

    def __init__(self, world: World, lock: threading.RLock, url: str, key: str | None) -> None:
        super().__init__(name="mission-events", daemon=True)
        self._world = world
        self._lock = lock
        self._url = url.rstrip("/")
        self._session = requests.Session()
        self._session.headers.update({"X-API-Key": key} if key else {})
        self._stopping = threading.Event()
        self._pause_s: dict[str, float] = {}
        self._not_before: dict[str, float] = {}

    def stop(self) -> None:
        self._stopping.set()
        self.join(TIMEOUT_S)
        self._session.close()

    def run(self) -> None:
        while not self._stopping.wait(POLL_EVERY_S):
            with self._lock:
                now_s = self._world.elapsed_s
                waiting = [
                    (mission, event)
                    for mission in self._world.missions.values()
                    if (event := mission.next_report(now_s))
                ]
            for mission, event in waiting:
                due_at = self._not_before.get(mission.intent_id, 0.0)
                if time.monotonic() >= due_at and not self._stopping.is_set():
                    self._report(mission, event)

    def _report(self, mission: Mission, event: MissionEvent) -> None:
        answered, outcome, wait_s = self._post(mission, event)
        with self._lock:
            event.outcome = outcome
            event.copies -= answered
            self._world.changes += 1
        if answered:
            self._pause_s.pop(mission.intent_id, None)
            self._not_before.pop(mission.intent_id, None)
            return
        pause_s = self._pause_s.get(mission.intent_id, FIRST_PAUSE_S)
        self._pause_s[mission.intent_id] = min(2 * pause_s, MAX_PAUSE_S)
        pause_s = max(pause_s, min(wait_s, LONGEST_WAIT_S))
        self._not_before[mission.intent_id] = time.monotonic() + pause_s
        log.warning("%s not reported, retry in %.1f s: %s", event.event_id, pause_s, outcome)

    def _post(self, mission: Mission, event: MissionEvent) -> tuple[bool, str, float]:
        """Whether the answer is final, the outcome, and for how long it asks to wait."""
        try:
            answer = self._session.post(
                f"{self._url}/api/v1/{_subject(mission)}/events",
                json={
                    "event_type": event.event_type,
                    "occurred_at": event.occurred_at,
                    "source": "gcs",
                    "event_id": event.event_id,
                    "message": event.message,
                    "payload": {
                        "intent_id": mission.intent_id,
                        "drone_id": mission.intent["drone_id"],
                    },
                },
                timeout=TIMEOUT_S,
                allow_redirects=False,
            )
        except requests.RequestException as error:
            return False, f"unsent: {type(error).__name__}", 0.0
        if answer.ok and not answer.is_redirect:
            return True, "accepted", 0.0
        outcome = f"{answer.status_code}: {answer.text[:200]}"
        if answer.status_code in RETRYABLE_STATUSES or answer.status_code >= 500:
            return False, outcome, asked_to_wait_s(answer)
        log.error("%s was refused and is not retried: %s", event.event_id, outcome)
        return True, f"refused, {outcome}", 0.0


def _subject(mission: Mission) -> str:
    """What the reports are about, as a path: the order, or the mission without one."""
    if mission.order_id:
        return f"orders/{mission.order_id}"
    return f"mission-intents/{mission.intent_id}"


def asked_to_wait_s(answer: requests.Response) -> float:
    """The seconds of `Retry-After`; 0 without them."""
    seconds = answer.headers.get("Retry-After", "")
    return float(seconds) if seconds.isdecimal() else 0.0
