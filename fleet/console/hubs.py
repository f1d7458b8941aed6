"""The drones of a hub, on its page."""

from django.http import HttpRequest
from django.urls import reverse
from django.utils import timezone

from fleet import presentation, traffic
from fleet.models import Drone, Hub
from wingxtra.console import registry as console
from wingxtra.console.admin import moment
from wingxtra.console.registry import Section

MAX_SHOWN = 50


def now_at(hub: Hub, request: HttpRequest) -> Section:
    """The hub's numbers and its drones, those that belong elsewhere first."""
    seen = traffic.now_at_each(timezone.now()).get(hub.pk, traffic.NONE)
    drones = Drone.objects.filter(hub=hub, active=True).select_related("base")
    here = sorted(drones, key=lambda drone: (drone.base_id == hub.pk, drone.pk))
    rows = [
        {
            "id": drone.pk,
            "url": reverse("admin:fleet_drone_change", args=[drone.pk]),
            "base": drone.base.name,
            "is_surplus": drone.base_id != hub.pk,
            "since": moment(drone.stands_since) if drone.stands_at_id == hub.pk else "Not here now",
        }
        for drone in here[:MAX_SHOWN]
    ]
    context = {
        "facts": presentation.hub_rows(hub, seen),
        "drones": rows,
        "more": max(0, len(here) - MAX_SHOWN),
        "all": f"{reverse('admin:fleet_drone_changelist')}?hub__id__exact={hub.pk}",
    }
    return Section("Now", "console/hub/now.html", context)


console.add_section(Hub, 10, now_at)
