"""An afternoon in the demo city: orders in every state, drones in the air, and some problems.

For the browser tests and the pictures in docs/images/. It uses the product's own verbs, each at the
time when it would have happened.
"""

from collections.abc import Iterator
from datetime import datetime, timedelta
from itertools import cycle
from math import atan2, cos, degrees, radians
from typing import Any
from uuid import UUID

import time_machine
from django.utils import timezone

from dispatch.models import DispatchRun, Flight, Mission
from dispatch.planning import runs
from fleet import registry
from fleet.demo import city, seed
from fleet.live.telemetry import Telemetry
from fleet.models import Drone, Pilot
from fleet.tests.factories import TelemetryFactory, show
from orders import lifecycle, placement
from orders.models import Order
from orders.states import CancelReason, JobStatus, Status
from pod import proofs
from wingxtra import broker
from wingxtra.accounts.identity import DISPATCHER, GCS, SYSTEM, TELEMETRY, Actor, ActorKind
from wingxtra.accounts.models import Merchant

DRONES = 12
UNREGISTERED = "WX-DRN-098"
AMA = Actor(ActorKind.USER, "ama")
CUSTOMERS = cycle(["Ama Mensah", "Kofi Boateng", "Esi Owusu", "Yaw Asante", "Akosua Osei"])
# Metres north and east of the shop, in all directions and clear of the airport.
PLACES = cycle(
    [(1900, -1200), (-900, -2900), (2600, -300), (700, -3600), (-1700, -800), (2200, -2500)]
)
PHARMACY, MARKET = city.SHOPS


class Scene:
    """The orders of the scene by what they show. `fly` moves every drone a step further.

    `with_history`: with the deliveries of the last day, which take some seconds to create.
    """

    def __init__(self, *, with_history: bool = False) -> None:
        self.orders: dict[str, Order] = {}
        self.progress: dict[str, float] = {}
        self.battery_pct: dict[str, float] = {}
        self.landed: dict[str, tuple[float, float]] = {}  # away from every hub, by drone
        seed.seed(DRONES)
        self.drones = list(Drone.objects.select_related("hub", "kind").order_by("pk"))
        now = timezone.now()
        for hours in range(23, 0, -1) if with_history else ():
            self._an_hour(now - timedelta(hours=hours, minutes=5), hours)
        with time_machine.travel(now - timedelta(minutes=9), tick=True):
            self._assign_all()
        self._let_them_fly(now)
        self._add_trouble(now)
        pilot = Pilot.objects.get()
        Mission.objects.filter(pilot=None).update(pilot=pilot, pilot_name=pilot.name)
        self.fly(0)

    def _an_hour(self, at: datetime, hours: int) -> None:
        """Delivered parcels of an earlier hour, with more of them around noon."""
        for n in range(1 + (hours * 7) % 3 + (2 if 3 < hours < 12 else 0)):
            with time_machine.travel(at, tick=False) as clock:
                shop = PHARMACY if n % 2 else MARKET
                order = place(shop, priority=shop.priorities[n % 3])
                drone = self.drones[(hours + n) % 8]
                order = lifecycle.assign(
                    order.pk,
                    drone.pk,
                    by=DISPATCHER,
                    why=f"{drone.pk} is the soonest at the door.",
                )
                minutes = 9 + (hours * 5 + n * 3) % 14 + (25 if hours == 6 and n == 0 else 0)
                for step in (Status.MISSION_SUBMITTED, Status.LAUNCHED, Status.ARRIVED):
                    clock.shift(timedelta(minutes=minutes / 3))
                    lifecycle.advance(order.pk, step, by=GCS)
                confirmation = proofs.Evidence.confirmation("Ama Boateng", note="On the camera.")
                proofs.record(order.pk, confirmation, by=AMA)

    def _assign_all(self) -> None:
        """One dispatch run assigns nine orders to nine drones."""
        flown = ("launched", "enroute", "arrived", "lost", "low", "submitted", "stuck", "failed")
        for n, name in enumerate((*flown, "astray")):
            shop = PHARMACY if n % 2 else MARKET
            self.orders[name] = place(shop, priority=shop.priorities[n % 3])
        show(*(self._standing(drone) for drone in self.drones))
        runs.run(trigger=DispatchRun.Trigger.SCHEDULE, by=DISPATCHER)

    def _let_them_fly(self, now: datetime) -> None:
        for name, status, share in (
            ("launched", Status.LAUNCHED, 0.05),
            ("enroute", Status.ENROUTE, 0.45),
            ("arrived", Status.ARRIVED, 1.0),
            ("lost", Status.ENROUTE, 0.6),
            ("low", Status.ENROUTE, 0.75),
            ("submitted", Status.MISSION_SUBMITTED, 0.0),
        ):
            with time_machine.travel(now - timedelta(minutes=6 * share + 1), tick=True):
                order = lifecycle.advance(self.orders[name].pk, status, by=GCS).order
            self.orders[name] = order
            if status not in (Status.MISSION_SUBMITTED,):
                self.progress[name] = share
        Mission.objects.filter(state=Mission.State.ACCEPTED).update(
            tries=1, bridge_status=202, bridge_answer="The mission was accepted."
        )
        self.battery_pct[self.drone_of("low")] = 17.0
        lost = self.orders["lost"].current_job
        Flight.objects.create(
            job=lost,
            heard_at=now - timedelta(seconds=75),
            link_lost_at=now - timedelta(seconds=45),
        )
        Mission.objects.filter(parts__job=self.orders_of("stuck").current_job).update(
            tries=4, bridge_answer="The GCS bridge was not reached: Connection refused."
        )
        lifecycle.mission_over(
            self.orders["failed"].pk,
            ended=JobStatus.FAILED,
            by=GCS,
            why="The motor check failed.",
            max_attempts=1,
        )

        self._come_down(now)

    def _come_down(self, now: datetime) -> None:
        """A drone lands in a field with its parcel: order and drone wait for a person."""
        order = self.orders["astray"]
        drone_id = self.drone_of("astray")
        with time_machine.travel(now - timedelta(minutes=5), tick=True):
            lifecycle.advance(order.pk, Status.ENROUTE, by=GCS)
            lifecycle.loaded(order.pk, by=TELEMETRY)
        with time_machine.travel(now - timedelta(minutes=3), tick=True):
            self.orders["astray"] = lifecycle.mission_over(
                order.pk,
                ended=JobStatus.FAILED,
                by=GCS,
                why="Motor 3 failed; it landed in a field.",
                max_attempts=3,
            )
        self.landed[drone_id] = (order.dropoff_lat + 0.003, order.dropoff_lng - 0.002)

    def _add_trouble(self, now: datetime) -> None:
        with time_machine.travel(now - timedelta(minutes=26), tick=True):
            self.orders["late"] = place(PHARMACY, priority="MEDICAL", payload_type="BLOOD")
        with time_machine.travel(now - timedelta(minutes=4), tick=True):
            self.orders["queued"] = place(MARKET, priority="NORMAL")
            self.orders["urgent"] = place(PHARMACY, priority="URGENT")
        self.orders["scheduled"] = place(MARKET, not_before=now + timedelta(hours=3))
        canceled = place(MARKET)
        self.orders["canceled"] = lifecycle.cancel(
            canceled.pk, by=AMA, reason=CancelReason.CUSTOMER_REQUEST
        )
        with time_machine.travel(now - timedelta(minutes=50), tick=True):
            bare = place(MARKET)
            lifecycle.assign(bare.pk, self.drones[8].pk, by=DISPATCHER, why="The soonest.")
            self.orders["unproven"] = lifecycle.advance(bare.pk, Status.DELIVERED, by=GCS).order
        busy = Order.objects.filter(current_job__status=JobStatus.ACTIVE)
        flying = set(busy.values_list("current_job__drone_id", flat=True))
        # Only this drone carries blood, so that one order waits for it.
        for drone in self.drones:
            if drone.kind.name == "Medic" and drone.pk not in flying:
                registry.ground(drone.pk, by=AMA, reason="Propeller 3 is chipped.")
        with time_machine.travel(now - timedelta(minutes=2), tick=True):
            show(*(self._standing(drone) for drone in self.drones))
            late = [self.orders["late"].pk]
            runs.run(trigger=DispatchRun.Trigger.SCHEDULE, by=DISPATCHER, only=late)

    def orders_of(self, name: str) -> Order:
        return Order.objects.select_related("current_job").get(pk=self.orders[name].pk)

    def drone_of(self, name: str) -> str:
        drone_id = self.orders_of(name).assigned_drone_id
        assert drone_id is not None
        return drone_id

    def fly(self, share: float) -> None:
        """Publish a fleet picture with each flight `share` further, and a worker heartbeat."""
        broker._beat(broker.WORKER_HEARTBEAT)
        broker._beat(broker.SCHEDULER_HEARTBEAT)
        in_the_air = dict(self._flights(share))
        show(
            *(in_the_air.get(drone.pk) or self._standing(drone) for drone in self.drones),
            TelemetryFactory(drone_id=UNREGISTERED, lat=5.571, lng=-0.244),
        )

    def _flights(self, share: float) -> Iterator[tuple[str, Telemetry]]:
        for name, done in self.progress.items():
            order, drone_id = self.orders_of(name), self.drone_of(name)
            at = min(1.0, done + share)
            self.progress[name] = at
            north = order.dropoff_lat - order.pickup_lat
            east = order.dropoff_lng - order.pickup_lng
            heading = degrees(atan2(east * cos(radians(order.pickup_lat)), north)) % 360
            silent = timedelta(seconds=75) if name == "lost" else timedelta(0)
            yield (
                drone_id,
                TelemetryFactory(
                    drone_id=drone_id,
                    measured_at=timezone.now() - silent,
                    lat=order.pickup_lat + at * north,
                    lng=order.pickup_lng + at * east,
                    alt_m=60.0,
                    heading_deg=heading,
                    speed_mps=15.5 if at < 1 else 0.3,
                    armed=True,
                    mode="AUTO",
                    battery_pct=self.battery_pct.get(drone_id, 78.0 - 30 * at),
                ),
            )

    def _standing(self, drone: Drone) -> Telemetry:
        n = int(drone.pk[-3:])
        place = (drone.hub.lat + 0.002 * (n % 4), drone.hub.lng - 0.002 * (n // 3))
        lat, lng = self.landed.get(drone.pk, place)
        return TelemetryFactory(
            drone_id=drone.pk,
            lat=lat,
            lng=lng,
            battery_pct=99.0 - n,
        )


def place(shop: city.Shop, **wanted: Any) -> Order:
    """Place an order of this shop as merchants do."""
    north_m, east_m = next(PLACES)
    lat, lng = city.moved(shop.pickup.lat, shop.pickup.lng, north_m=north_m, east_m=east_m)
    order = Order(
        **{
            "merchant": Merchant.objects.get(name=shop.name),
            "customer_name": next(CUSTOMERS),
            "customer_phone": "+233241234567",
            "pickup_name": shop.pickup.name,
            "pickup_lat": shop.pickup.lat,
            "pickup_lng": shop.pickup.lng,
            "dropoff_lat": round(lat, 6),
            "dropoff_lng": round(lng, 6),
            "payload_weight_kg": 0.8,
            "payload_type": shop.payload_type,
            "pod_requirement": shop.pod_requirement,
            "deliver_by": None,
            **wanted,
        }
    )
    return placement.place(order, by=SYSTEM)


def page_of(order_id: UUID) -> str:
    return f"/admin/orders/order/{order_id}/change/"
