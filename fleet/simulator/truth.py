"""The real location of each parcel, for tests. The product never reads it."""

from dataclasses import asdict, dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from fleet.simulator.airframe import distance_m
from fleet.simulator.missions import as_utc_text

SAME_PLACE_M = 100.0  # a hub with its pads, or a store with its yard

Place = tuple[float, float]


class Where(StrEnum):
    AT_PICKUP = "AT_PICKUP"
    ABOARD = "ABOARD"
    AT_DROP = "AT_DROP"
    ON_GROUND = "ON_GROUND"
    AT_HUB = "AT_HUB"


@dataclass(frozen=True, slots=True)
class Stop:
    """One location of a parcel. lat, lng: where it started; an ABOARD parcel moves on."""

    where: str
    lat: float
    lng: float
    drone_id: str | None
    at: str


@dataclass(slots=True)
class Parcel:
    order_id: str
    weight_kg: float
    stops: list[Stop] = field(default_factory=list)

    @property
    def now(self) -> Stop:
        return self.stops[-1]

    def aboard(self, drone_id: str) -> bool:
        return self.now.drone_id == drone_id

    def lies_at(self, place: Place) -> bool:
        """On the ground there and not delivered."""
        near = distance_m(self.now.lat, self.now.lng, *place) <= SAME_PLACE_M
        return near and self.now.where not in (Where.ABOARD, Where.AT_DROP)

    def summary(self) -> dict[str, Any]:
        return {
            "order_id": self.order_id,
            **asdict(self.now),
            "stops": list(map(asdict, self.stops)),
        }


@dataclass(frozen=True, slots=True)
class Violation:
    """A violated invariant."""

    kind: str
    order_id: str
    intent_id: str
    drone_id: str
    at: str
    detail: str

    def summary(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(slots=True)
class Ledger:
    """All parcels by order_id, across all missions of an order, and all violations."""

    parcels: dict[str, Parcel] = field(default_factory=dict)
    violations: list[Violation] = field(default_factory=list)

    def expect(self, intent: dict[str, Any], now: datetime) -> Parcel:
        """The parcel of an accepted intent. A new one lies at the pickup."""
        order_id = intent["order_id"]
        if order_id not in self.parcels:
            self.parcels[order_id] = Parcel(order_id, intent["metadata"]["payload_weight_kg"])
            pickup = intent["pickup"]
            self.move(order_id, Where.AT_PICKUP, (pickup["lat"], pickup["lng"]), now)
        return self.parcels[order_id]

    def move(
        self,
        order_id: str,
        where: Where,
        place: Place,
        now: datetime,
        drone_id: str | None = None,
    ) -> None:
        stop = Stop(where.value, *place, drone_id, as_utc_text(now))
        self.parcels[order_id].stops.append(stop)

    def violate(self, kind: str, intent: dict[str, Any], now: datetime, detail: str) -> None:
        ids = (intent["order_id"], intent["intent_id"], intent["drone_id"])
        self.violations.append(Violation(kind, *ids, as_utc_text(now), detail))

    def aboard(self, drone_id: str) -> list[Parcel]:
        return [parcel for parcel in self.parcels.values() if parcel.aboard(drone_id)]

    def weight_kg(self, drone_id: str) -> float:
        return sum(parcel.weight_kg for parcel in self.aboard(drone_id))

    def load(self, intent: dict[str, Any], here: Place, now: datetime) -> None:
        """Loads the mission's parcel if it is at this place; otherwise records a violation."""
        order_id, drone_id = intent["order_id"], intent["drone_id"]
        parcel = self.parcels[order_id]
        if parcel.lies_at(here):
            self.move(order_id, Where.ABOARD, here, now, drone_id)
        elif not parcel.aboard(drone_id):
            self.violate(
                "flew_without_parcel",
                intent,
                now,
                f"The parcel is {parcel.now.where} at {parcel.now.lat:.5f}, {parcel.now.lng:.5f}"
                f" ({parcel.now.drone_id or 'no drone'}), not at {here[0]:.5f}, {here[1]:.5f}.",
            )

    def put_down(self, intent: dict[str, Any], where: Where, here: Place, now: datetime) -> None:
        """Drops the mission's parcel here if it is aboard."""
        if self.parcels[intent["order_id"]].aboard(intent["drone_id"]):
            self.move(intent["order_id"], where, here, now)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> "Ledger":
        parcels = {
            order_id: Parcel(**kept | {"stops": [Stop(**stop) for stop in kept["stops"]]})
            for order_id, kept in values["parcels"].items()
        }
        return cls(parcels, [Violation(**one) for one in values["violations"]])
