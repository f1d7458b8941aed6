"""The staff of a drill: they work off the attention list, through the console's own forms alone.

A person checks the facts on the ground first, which are the simulator's truth, and then takes the
remedy that matches them.
"""

import random
import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import requests

from wingxtra.tests.drill import city, page
from wingxtra.tests.drill.machine import Machine
from wingxtra.tests.drill.outside import DroneFlies, Outside, Truth, nearest
from wingxtra.tests.drill.page import Item, Remedy

LOOK_EVERY_S = 1.0
BACK_TO_THE_SENDER = 0.2  # of the parcels that came back to a hub
NEVER_FOUND = 0.1  # of the parcels that fell into the field


@dataclass
class Desk:
    """Record of what the staff saw and did."""

    seen: dict[str, str] = field(default_factory=dict)  # attention key to its latest text
    about: set[str] = field(default_factory=set)  # order ids and drone ids that were shown
    used: Counter[str] = field(default_factory=Counter)
    refused: dict[tuple[str, str], str] = field(default_factory=dict)  # (key, action) -> problem
    left: list[Item] = field(default_factory=list)
    given_back: set[str] = field(default_factory=set)
    lost: set[str] = field(default_factory=set)
    found: set[str] = field(default_factory=set)  # orders that were not delivered after all


class Staff:
    def __init__(self, machine: Machine, seed: int) -> None:
        self._machine = machine
        self._outside = Outside(machine.simulator_url)
        self._chance = random.Random(f"{seed}:staff")
        self._fates: dict[str, float] = {}
        self._http = requests.Session()
        self.desk = Desk()

    # -- the list ----------------------------------------------------------------------------------

    def work(self, stop: threading.Event) -> None:
        """Work off the list until `stop` is set."""
        while not stop.wait(LOOK_EVERY_S):
            try:
                self.look()
            except requests.RequestException:
                continue  # a process was just killed; try again

    def look(self) -> list[Item]:
        """Read the list once and answer each line that can be answered. Returns the lines."""
        items = page.read(self._get("/admin/")).items
        self.desk.left = items
        truth = self._outside.truth()
        for item in items:
            self.desk.seen[item.key] = item.text
            self.desk.about |= set(item.orders)
            truth = self._work_off(item, truth)
        return items

    def _work_off(self, item: Item, truth: Truth) -> Truth:
        """Apply the first remedy that matches the truth. For a line about several objects, apply
        it to those that match: a person selects them in the list and gets the same form.
        """
        if item.until_seen:
            self._mark_as_seen(item)
        for remedy in item.remedies:
            model, _, name = remedy.action.rpartition("/")
            for one in remedy.ids:
                if model == "orders.order":
                    truth = self._on_the_ground(one, truth)
                elif model == "fleet.drone":
                    truth = self._fetch(one, truth)
            fitting = [one for one in remedy.ids if self._is_right(model, name, one, item, truth)]
            if fitting and self._apply(item, remedy.about(fitting), truth):
                return self._outside.truth()
        return truth

    def _mark_as_seen(self, item: Item) -> None:
        url = f"{self._machine.url}/admin/now/seen/"
        body = {"key": item.key, "csrfmiddlewaretoken": self._http.cookies["csrftoken"]}
        self._http.post(url, data=body, headers={"Referer": url}, timeout=30).raise_for_status()

    # -- work on the ground ------------------------------------------------------------------------

    def _on_the_ground(self, order_id: str, truth: Truth) -> Truth:
        """Bring a parcel in the field, or in a parked drone, to the nearest hub."""
        where, carrier = truth.where(order_id), truth.carrier(order_id)
        if truth.live(order_id) or where not in ("ABOARD", "ON_GROUND"):
            return truth
        if carrier and carrier["airborne"]:
            return truth
        parcel = carrier or truth.parcels[order_id]
        hub, _ = nearest(city.HUBS, parcel["lat"], parcel["lng"])
        at = next((lat, lng) for name, lat, lng in city.HUBS if name == hub)
        if where == "ON_GROUND" and self._fate(order_id) < NEVER_FOUND:
            return truth
        return self._by_hand(lambda: self._outside.collect(order_id, *at))

    def _fetch(self, drone_id: str, truth: Truth) -> Truth:
        drone = truth.drones[drone_id]
        if not drone["airborne"] and not drone["at_home"] and drone["intent_id"] is None:
            return self._by_hand(lambda: self._outside.bring_home(drone_id))
        return truth

    def _by_hand(self, work: Callable[[], Truth]) -> Truth:
        """Nothing is done if the drone has just taken off."""
        try:
            return work()
        except DroneFlies:
            return self._outside.truth()

    def _fate(self, order_id: str) -> float:
        return self._fates.setdefault(order_id, self._chance.random())

    # -- choice of the remedy ----------------------------------------------------------------------

    def _is_right(self, model: str, name: str, one: str, item: Item, truth: Truth) -> bool:
        if model == "orders.order":
            return self._is_so(name, one, truth)
        if model == "fleet.drone":
            return name == "release" and self._drone_is_fine(truth.drones[one])
        if model == "dispatch.discrepancy":
            # One line may be about several drones; nothing is settled while one of them flies.
            return not any(truth.live(order_id) for order_id in item.orders or truth.missions)
        return name == "resume"

    def _is_so(self, name: str, order_id: str, truth: Truth) -> bool:
        where, live = truth.where(order_id), truth.live(order_id)
        match name:
            case "delivered":
                return where == "AT_DROP"
            case "failed":
                return where != "AT_DROP" and not live
            case "at-hub":
                return where == "AT_HUB" and self._fate(order_id) >= BACK_TO_THE_SENDER
            case "given-back":
                return where == "AT_HUB" and self._fate(order_id) < BACK_TO_THE_SENDER
            case "never-left":
                return where == "AT_PICKUP" and not live
            case "lost":
                return where == "ON_GROUND" and self._fate(order_id) < NEVER_FOUND
            case "release":
                return where in ("AT_PICKUP", "AT_HUB") and not live
            case "correct":
                return where in ("AT_DROP", "AT_HUB", "AT_PICKUP") and not live
            case "mission-over" | "requeue":
                return not live
            case "submit":
                return True
        return False

    @staticmethod
    def _drone_is_fine(drone: dict[str, Any]) -> bool:
        return not drone["airborne"] and drone["at_home"] and not drone["aboard"]

    def sees_a_drone_away(self) -> bool:
        """Whether a drone is in the air, at a door or in a field."""
        drones = self._outside.truth().drones.values()
        return any(drone["intent_id"] or not drone["at_home"] for drone in drones)

    # -- forms -------------------------------------------------------------------------------------

    def _apply(self, item: Item, remedy: Remedy, truth: Truth) -> bool:
        """Fill in the remedy's form and send it. Returns whether it was accepted."""
        form = page.read(self._get(remedy.url))
        if not form.fields:
            return self._refused(item, remedy, " ".join(form.problems) or "There is no form.")
        words, wanted = self._knows(remedy, truth)
        sent = page.answered(form, words, wanted)
        answer = self._http.post(
            self._machine.url + remedy.url,
            data=sent,
            headers={"Referer": self._machine.url + remedy.url},
            timeout=30,
            allow_redirects=False,
        )
        if answer.status_code not in (302, 303):
            again = page.read(answer.text)
            if again.problems or len(remedy.ids) == 1:
                words = " ".join(again.problems) or f"It was answered with {answer.status_code}."
                return self._refused(item, remedy, words)
        self.desk.used[remedy.action] += 1
        self.desk.refused.pop((item.key, remedy.action), None)
        _, _, name = remedy.action.rpartition("/")
        if name in ("given-back", "lost"):
            kept = self.desk.given_back if name == "given-back" else self.desk.lost
            kept.update(remedy.ids)
        return True

    def _refused(self, item: Item, remedy: Remedy, words: str) -> bool:
        self.desk.refused[item.key, remedy.action] = words
        return False

    def _knows(self, remedy: Remedy, truth: Truth) -> tuple[str, dict[str, Any]]:
        """The text and the choices of a person who knows the facts."""
        if not remedy.action.startswith("orders.order/"):
            return "Looked at it on site: it is fine.", {}
        order_id = remedy.ids[0]
        where, parcel = truth.where(order_id), truth.parcels.get(order_id)
        hub = nearest(city.HUBS, parcel["lat"], parcel["lng"])[0] if parcel else ""
        delivered = where == "AT_DROP"
        outcome = (
            {"outcome": "DELIVERED"} if delivered else {"outcome": "FAILED", "reason": "OTHER"}
        )
        wanted = {"hub": hub, **outcome}
        return f"Looked on site: the parcel is {where.lower().replace('_', ' ')}.", wanted

    def _get(self, url: str) -> str:
        answer = self._http.get(self._machine.url + url, timeout=30)
        if "/login/" in answer.url:
            self._log_in()
            answer = self._http.get(self._machine.url + url, timeout=30)
        answer.raise_for_status()
        return answer.text

    def _log_in(self) -> None:
        url = f"{self._machine.url}/admin/login/?next=/admin/"
        self._http.get(url, timeout=30).raise_for_status()
        body = {
            "username": "ops",
            "password": self._machine.credentials.password,
            "csrfmiddlewaretoken": self._http.cookies["csrftoken"],
            "next": "/admin/",
        }
        self._http.post(url, data=body, headers={"Referer": url}, timeout=30).raise_for_status()

    # -- parcels that are unknown to the system ----------------------------------------------------

    def report_found(self, delivered: set[str]) -> None:
        """Hub staff find parcels in drones whose orders are reported as delivered; the office
        corrects the outcome on the order's page. Only a person can notice them.
        """
        truth = self._outside.truth()
        for order_id in delivered:
            if truth.where(order_id) == "AT_DROP" or truth.live(order_id):
                continue
            truth = self._on_the_ground(order_id, truth)
            if truth.where(order_id) not in ("AT_HUB", "AT_PICKUP"):
                continue
            url = f"/admin/do/orders.order/correct/?id={order_id}"
            if self._apply(Item(f"found-{order_id}"), Remedy("Correct", url), truth):
                self.desk.found.add(order_id)
