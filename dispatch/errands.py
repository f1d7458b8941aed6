"""Which drones are on a mission without an order, and where drones land. For `fleet.work`."""

from collections import Counter
from collections.abc import Collection
from datetime import datetime

from dispatch.models import Mission


def on_errand(drone_ids: Collection[str]) -> set[str]:
    errands = Mission.objects.errands().filter(drone__in=drone_ids).order_by()
    return {str(drone_id) for drone_id in errands.values_list("drone_id", flat=True)}


def coming(now: datetime) -> Counter[int]:
    landings = Mission.objects.coming(now).filter(return_to__isnull=False).order_by()
    each = landings.values_list("drone_id", "return_to_id").distinct()
    return Counter(hub_id for _, hub_id in each)
