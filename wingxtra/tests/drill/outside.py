"""The simulator's interface for the drill: its faults, and the truth on the ground."""

from dataclasses import dataclass, field
from typing import Any

import requests

from fleet.simulator.airframe import distance_m

SAME_PLACE_M = 100.0


@dataclass(frozen=True)
class Truth:
    """The real state, independent of reports. `places`: the hubs, as (name, lat, lng)."""

    parcels: dict[str, dict[str, Any]]
    missions: dict[str, list[dict[str, Any]]]
    drones: dict[str, dict[str, Any]]
    violations: list[dict[str, Any]]

    @classmethod
    def of(cls, said: dict[str, Any]) -> "Truth":
        missions: dict[str, list[dict[str, Any]]] = {}
        for mission in said["missions"]:
            missions.setdefault(mission["order_id"], []).append(mission)
        return cls(
            {parcel["order_id"]: parcel for parcel in said["parcels"]},
            missions,
            {drone["drone_id"]: drone for drone in said["drones"]},
            said["violations"],
        )

    def where(self, order_id: str) -> str:
        """A parcel without an accepted mission has not left its sender."""
        parcel = self.parcels.get(order_id)
        return parcel["where"] if parcel else "AT_PICKUP"

    def live(self, order_id: str) -> bool:
        """Whether a mission can still deliver the parcel, or still flies with it."""
        flying = {drone["intent_id"] for drone in self.drones.values()} - {None}
        return any(
            mission["live"] or mission["intent_id"] in flying
            for mission in self.missions.get(order_id, [])
        )

    def carrier(self, order_id: str) -> dict[str, Any] | None:
        parcel = self.parcels.get(order_id)
        return self.drones.get(parcel["drone_id"]) if parcel and parcel["drone_id"] else None


class DroneFlies(Exception):
    """It has taken off since the truth was read."""


@dataclass
class Outside:
    """A client of the simulator. Each person of the drill has one."""

    url: str
    http: requests.Session = field(default_factory=requests.Session)

    def truth(self) -> Truth:
        return Truth.of(self._call("GET", "/truth"))

    def fault(self, **fault: Any) -> None:
        self._call("POST", "/faults", fault)

    def clear_faults(self) -> None:
        self._call("DELETE", "/faults")

    def faults(self) -> list[dict[str, Any]]:
        return list(self._call("GET", "/faults")["items"])

    def collect(self, order_id: str, lat: float, lng: float) -> Truth:
        """Bring a parcel to the hub at this place. Raises DroneFlies."""
        body = {"order_id": order_id, "lat": lat, "lng": lng}
        return Truth.of(self._call("POST", "/truth/collect", body))

    def bring_home(self, drone_id: str) -> Truth:
        """Raises DroneFlies."""
        return Truth.of(self._call("POST", "/truth/bring-home", {"drone_id": drone_id}))

    def _call(self, verb: str, path: str, body: Any = None) -> dict[str, Any]:
        answer = self.http.request(verb, self.url + path, json=body, timeout=30)
        if answer.status_code == 422 and answer.json()["code"] == "drone_flies":
            raise DroneFlies
        if answer.status_code >= 400:
            raise RuntimeError(f"{verb} {path} {body}: {answer.status_code} {answer.text[:300]}")
        said: dict[str, Any] = answer.json()
        return said


def nearest(places: list[tuple[str, float, float]], lat: float, lng: float) -> tuple[str, float]:
    """Name and distance in metres of the nearest place."""
    return min(((name, distance_m(lat, lng, *at)) for name, *at in places), key=lambda one: one[1])
