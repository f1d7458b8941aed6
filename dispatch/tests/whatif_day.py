"""Orders of yesterday, and what-ifs about them."""

from datetime import date, timedelta
from typing import Any

import time_machine
from django.utils import timezone

from dispatch.models import WhatIf
from dispatch.whatif import questions, worker
from fleet.demo import city
from fleet.models import Policy, ServiceArea
from fleet.tests.factories import DroneFactory
from orders import lifecycle
from orders.models import Order
from orders.states import Status
from orders.tests.factories import OrderFactory
from wingxtra.accounts.identity import DISPATCHER, GCS, SYSTEM, Actor

NOON_S = 12 * 3600.0
RULES = Policy().rules()
# From the market of the demo city to a drop point.
IN_THE_CITY = {
    "pickup_lat": city.SHOPS[1].pickup.lat,
    "pickup_lng": city.SHOPS[1].pickup.lng,
    "dropoff_lat": city.SHOPS[1].pickup.lat - 0.008,
    "dropoff_lng": city.SHOPS[1].pickup.lng - 0.011,
}
UNIQUE_FIELDS = ("id", "public_tracking_id", "external_id")
PRIORITIES = ("NORMAL", "URGENT", "NORMAL", "MEDICAL")


def yesterday() -> date:
    return timezone.localdate() - timedelta(days=1)


def placed(at_s: float = NOON_S, **attributes: Any) -> Order:
    """An order of yesterday, `at_s` seconds after midnight, with the policy's promise."""
    at = questions.starts_at(yesterday()) + timedelta(seconds=at_s)
    with time_machine.travel(at, tick=False):
        promise_s = RULES.promise_s[attributes.get("priority", "NORMAL")]
        return OrderFactory(**{"deliver_by": at + timedelta(seconds=promise_s), **attributes})


def delivered(at_s: float, minutes: float, **attributes: Any) -> Order:
    """The same, delivered this many minutes later."""
    order = placed(at_s, **attributes)
    with time_machine.travel(order.created_at + timedelta(minutes=minutes), tick=False):
        lifecycle.assign(order.pk, DroneFactory().pk, by=DISPATCHER, why="The only one.")
        return lifecycle.advance(order.pk, Status.DELIVERED, by=GCS).order


def rush(orders: int, *, drones: int, apart_s: float = 60.0) -> ServiceArea:
    """This many orders from noon on, and this many drones at one hub."""
    DroneFactory.create_batch(drones)
    return orders_from_noon(orders, apart_s=apart_s)


def orders_from_noon(count: int, *, apart_s: float, **attributes: Any) -> ServiceArea:
    """Orders at equal intervals, the first five NORMAL. Returns their area."""
    first = placed(**attributes)
    columns = [field.attname for field in Order._meta.concrete_fields]
    same = {name: getattr(first, name) for name in columns if name not in UNIQUE_FIELDS}
    copies = []
    for n in range(1, count):
        at = first.created_at + timedelta(seconds=n * apart_s)
        priority = PRIORITIES[n // 5 % 4]
        due = at + timedelta(seconds=RULES.promise_s[priority])
        own = {"created_at": at, "deliver_by": due, "priority": priority}
        copies.append(Order(**{**same, **own}))
    Order.objects.bulk_create(copies)
    return first.service_area


def answered(by: Actor = SYSTEM) -> WhatIf:
    """A computed what-if: a busy hour with two more drones at the first hub."""
    area = orders_from_noon(60, apart_s=60.0, **IN_THE_CITY)
    hub = area.hubs.order_by("name")[0]
    what_if = asked(area, by=by, more_drones=2, hub=hub, rules={"look_ahead_s": 240.0})
    worker.compute(what_if.pk)
    return WhatIf.objects.get(pk=what_if.pk)


def asked(area: ServiceArea, **wanted: Any) -> WhatIf:
    usual: dict[str, Any] = {"by": SYSTEM, "day": yesterday(), "rules": {}}
    return questions.ask(area=area, **usual | wanted)
