"""Attention items: grounding defects, maintenance that is due, hubs without attested checks."""

from collections.abc import Iterator

from django.urls import reverse

from fleet.airworthiness.fitness import FIT, Fitness
from fleet.console.shared import DRONES, in_service, unfit
from fleet.models import Drone, Hub
from wingxtra.console import actions, registry
from wingxtra.console.look import Look
from wingxtra.console.registry import Attention, Tone


def not_fit(look: Look) -> Iterator[Attention]:
    found = look.once(unfit)
    for drone_id, against in sorted(found.items()):
        if against.defects:
            yield _defects(drone_id, against.defects)
        if against.overdue:
            yield _maintenance(drone_id, against.overdue, overdue=True)
        elif against.due_soon:
            yield _maintenance(drone_id, against.due_soon, overdue=False)
    waiting = [drone for drone in look.once(in_service) if found.get(drone.pk, FIT).unattested]
    yield from _unattested(waiting, found)


def _defects(drone_id: str, clauses: tuple[str, ...]) -> Attention:
    says = "; ".join(clauses)
    return Attention(
        key=f"defect:{drone_id}",
        level=23,
        text=f"{drone_id} is grounded by a defect",
        detail=f"{says[0].upper()}{says[1:]}. It gets no orders until the defect is released on "
        "its page.",
        url=reverse("admin:fleet_drone_change", args=[drone_id]),
        tone=Tone.BAD,
        cause="defect",
        many="drones are grounded by defects",
        all_url=f"{reverse('admin:fleet_drone_changelist')}?fitness=defects",
        about=f"drone:{drone_id}",
    )


def _maintenance(drone_id: str, clauses: tuple[str, ...], *, overdue: bool) -> Attention:
    says = "; ".join(clauses)
    remedy = actions.button(Drone, "maintain", drone_id, next=reverse("admin:index"))
    url = reverse("admin:fleet_drone_change", args=[drone_id])
    every = reverse("admin:fleet_drone_changelist")
    if overdue:
        return Attention(
            key=f"overdue:{drone_id}",
            level=24,
            text=f"{drone_id} needs maintenance",
            detail=f"{says[0].upper()}{says[1:]}. It gets no orders until the maintenance is "
            "recorded.",
            url=url,
            tone=Tone.BAD,
            remedies=(remedy,),
            cause="overdue",
            many="drones need maintenance",
            all_url=f"{every}?fitness=overdue",
            about=f"drone:{drone_id}",
        )
    return Attention(
        key=f"due-soon:{drone_id}",
        level=6,
        text=f"{drone_id} needs maintenance soon",
        detail=f"{says[0].upper()}{says[1:]}.",
        url=url,
        remedies=(remedy,),
        cause="due-soon",
        many="drones need maintenance soon",
        all_url=f"{every}?fitness=due_soon",
        about=f"drone:{drone_id}",
    )


def _unattested(drones: list[Drone], found: dict[str, Fitness]) -> Iterator[Attention]:
    at: dict[Hub, list[str]] = {}
    for drone in drones:
        at.setdefault(drone.hub, []).append(drone.pk)
    for hub, waiting in sorted(at.items(), key=lambda entry: entry[0].name):
        clauses = sorted({text for one in waiting for text in found[one].unattested})
        yield Attention(
            key=f"unattested:{hub.pk}",
            level=25,
            text=f"The pre-flight checks at {hub} are not attested",
            detail=f"{'; '.join(clauses)}. {_drones(len(waiting))} until a person attests them.",
            url=reverse("admin:fleet_hub_change", args=[hub.pk]),
            tone=Tone.BAD,
            remedies=(actions.button(Hub, "attest", hub.pk, next=reverse("admin:index")),),
            cause="unattested",
            many="hubs lack attested pre-flight checks",
            all_url=f"{reverse('admin:fleet_drone_changelist')}?fitness=unattested",
            about=f"hub:{hub.pk}",
        )


def _drones(count: int) -> str:
    return "1 drone gets no orders" if count == 1 else f"{count} drones get no orders"


registry.add_attention(
    not_fit,
    checks="no drone in service needs maintenance or is grounded by a defect, and all asked checks "
    "are attested",
    reads=DRONES,
)
