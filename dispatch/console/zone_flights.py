"""The flights that a zone cuts: in its form before it is saved, then on its page."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils import timezone
from django.utils.safestring import SafeString
from django.views.decorators.http import require_POST

from dispatch.missions import mission_watch
from dispatch.missions.mission_watch import Cut
from fleet.models import GeoZone
from orders.models import Order
from wingxtra.console import actions, registry
from wingxtra.console.admin import badge
from wingxtra.console.registry import Button, Page, Section, Tone

DECISIVE_FIELDS = (
    "active",
    "allowed_until",
    "allowed_because",
    "kind",
    "lower_m",
    "lower_datum",
    "upper_m",
    "upper_datum",
    "starts_at",
    "ends_at",
    "time_zone",
    "polygon",
)
MAX_LISTED = 50


@dataclass(frozen=True, slots=True)
class Row:
    """One flight that the zone cuts."""

    order: str
    url: str
    state: SafeString
    why: str
    buttons: tuple[Button, ...] = ()


def summary(cuts: Sequence[Cut]) -> str:
    """“It cuts 3 flights: 2 in the air, 1 before launch.”"""
    flying = sum(cut.is_in_the_air for cut in cuts)
    if not cuts:
        return "It cuts no flight."
    flights = "1 flight" if len(cuts) == 1 else f"{len(cuts)} flights"
    return f"It cuts {flights}: {flying} in the air, {len(cuts) - flying} before launch."


@require_POST
def draft(request: HttpRequest) -> HttpResponse:
    """The flights that the zone of the sent form would cut, as a part of a page.

    The fields are checked as if the zone were saved, without its name.
    """
    user: Any = request.user
    if not (user.has_perm("fleet.change_geozone") and user.has_perm("orders.view_order")):
        raise PermissionDenied
    form_class = admin.site.get_model_admin(GeoZone).get_form(request, fields=DECISIVE_FIELDS)
    form = form_class(request.POST)
    if not form.is_valid():
        problems = [text for texts in form.errors.values() for text in texts]
        return TemplateResponse(request, "console/zone_cuts.html", {"problems": problems})
    form.instance.name = "drawn here"
    return TemplateResponse(request, "console/zone_cuts.html", _context(form.instance))


def _context(zone: GeoZone, user: Any = None) -> dict[str, Any]:
    """With buttons if there is a `user` to offer them to."""
    cuts = mission_watch.cut_by(zone, timezone.now())
    here = reverse("admin:fleet_geozone_change", args=[zone.pk])
    return {
        "is_off": not zone.active,
        "summary": summary(cuts),
        "rows": [_row(cut, here, user) for cut in cuts[:MAX_LISTED]],
        "left_out": max(0, len(cuts) - MAX_LISTED),
        "for_all": list(_for_all(cuts, here, user)),
    }


def _row(cut: Cut, here: str, user: Any) -> Row:
    order = cut.job.order
    name = "abort" if cut.is_in_the_air else "requeue"
    return Row(
        order=str(order),
        url=reverse("admin:orders_order_change", args=[order.pk]),
        state=badge(order.get_status_display(), Tone.BAD if cut.is_in_the_air else Tone.WARN),
        why=cut.reason.message,
        buttons=_usable([actions.button(Order, name, order.pk, next=here)], user),
    )


def _for_all(cuts: Sequence[Cut], here: str, user: Any) -> Iterator[Button]:
    """An action takes MAX_TARGETS orders, so many flights need several buttons."""
    for name, is_in_the_air, what in (
        ("abort", True, "Ask for abort of {}…"),
        ("requeue", False, "Requeue {} before launch…"),
    ):
        pks = [cut.job.order_id for cut in cuts if cut.is_in_the_air == is_in_the_air]
        for start in range(0, len(pks), actions.MAX_TARGETS):
            some = pks[start : start + actions.MAX_TARGETS]
            all_of_them = f"all {len(pks)}" if len(some) == len(pks) else f"{len(some)}"
            known = actions.button(Order, name, *some, next=here)
            if len(pks) > 1:
                yield from _usable(
                    [Button(what.format(all_of_them), known.url, known.permission)], user
                )


def _usable(buttons: list[Button], user: Any) -> tuple[Button, ...]:
    return tuple(one for one in buttons if user is not None and user.has_perm(one.permission))


def in_the_way(zone: GeoZone, request: HttpRequest) -> Section | None:
    user: Any = request.user
    if not user.has_perm("orders.view_order"):
        return None
    return Section("Flights that it cuts now", "console/zone_section.html", _context(zone, user))


registry.add_section(GeoZone, 10, in_the_way)
registry.pages.append(Page("zone-flights/", draft, "zone-flights"))
