"""Drones on hold in the console: release action, attention line, and history."""

from collections.abc import Iterator
from typing import Any

from django import forms
from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from fleet import registry
from fleet.console.shared import held
from fleet.models import Drone, DroneHold
from wingxtra.accounts.models import User
from wingxtra.console import actions
from wingxtra.console.admin import ReadOnlyAdmin, badge, moment, said_by
from wingxtra.console.lists.filters import DaysFilter
from wingxtra.console.look import Look
from wingxtra.console.registry import Attention, Section, Tone
from wingxtra.sentences import sentence

MAX_SHOWN = 20


class ReleaseForm(actions.ActionForm):
    note = forms.CharField(
        label="What was checked?",
        max_length=registry.MAX_REASON_CHARACTERS,
        widget=forms.Textarea(attrs={"rows": 2}),
        help_text="For example where you found it and in what state. It is recorded with your "
        "name.",
    )


def _release(drone: Drone, data: dict[str, Any], user: User) -> str:
    registry.release(drone.pk, by=user.actor, note=data["note"])
    return f"{drone} is released: {data['note']}"


def _why_not(drone: Drone) -> str | None:
    is_held = DroneHold.objects.standing().filter(drone=drone.pk).exists()
    return None if is_held else "It is not on hold."


actions.register(
    actions.Action(
        model=Drone,
        name="release",
        label="Release from hold",
        permission="fleet.change_drone",
        form=ReleaseForm,
        carry_out=_release,
        why_not=_why_not,
        explanation="You have checked the drone, and it may fly again. This releases all its "
        "holds. A drone that is also grounded stays grounded.",
    )
)


def drones_on_hold(look: Look) -> Iterator[Attention]:
    for holds in look.once(held).values():
        drone = holds[0].drone
        yield Attention(
            key=f"on-hold:{drone.pk}",
            level=26,
            text=f"{drone} is on hold: {holds[0].get_code_display()}",
            detail=" ".join(sentence(hold.message) for hold in holds)
            + " It gets no orders until you release it.",
            url=reverse("admin:fleet_drone_change", args=[drone.pk]),
            since=holds[0].held_at,
            tone=Tone.BAD,
            remedies=(actions.button(Drone, "release", drone.pk, next=reverse("admin:index")),),
            cause="on-hold",
            many="drones are on hold",
            all_url=f"{reverse('admin:fleet_drone_changelist')}?readiness=ON_HOLD&active__exact=1",
            about=f"drone:{drone.pk}",
        )


def holds_of(drone: Drone, request: HttpRequest) -> Section:
    """The drone's holds: unreleased first, then released."""
    rows = [
        {
            "label": hold.get_code_display(),
            "message": hold.message,
            "held": moment(hold.held_at),
            "by": said_by(hold.held_by),
            "released": hold.released_at and moment(hold.released_at),
            "released_by": said_by(hold.released_by),
            "note": hold.release_note,
        }
        for hold in sorted(drone.holds.all()[:MAX_SHOWN], key=lambda hold: bool(hold.released_at))
    ]
    return Section("Holds", "console/drone/holds.html", {"rows": rows})


class StandingFilter(admin.SimpleListFilter):
    title = "state"
    parameter_name = "standing"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("yes", "On hold"), ("no", "Released")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        if self.value() not in ("yes", "no"):
            return queryset
        return queryset.filter(released_at__isnull=self.value() == "yes")


@admin.register(DroneHold)
class DroneHoldAdmin(ReadOnlyAdmin):
    """All holds, including released ones. Releasing is an action of the drone."""

    list_display = ("since", "about", "what", "message", "by", "state", "note")
    list_filter = (StandingFilter, "code", ("held_at", DaysFilter))
    list_select_related = ("drone",)
    search_fields = ("drone__drone_id",)
    when_empty = (
        "No drone has been on hold yet. A drone is when its flight fails or its landing is "
        "not clear, until a person releases it."
    )
    fields = ("about", "what", "message", "since", "by", "state", "released", "note")
    readonly_fields = fields

    @admin.display(description="Since", ordering="held_at")
    def since(self, hold: DroneHold) -> SafeString | str:
        return moment(hold.held_at, seconds=True)

    @admin.display(description="Drone", ordering="drone")
    def about(self, hold: DroneHold) -> SafeString:
        url = reverse("admin:fleet_drone_change", args=[hold.drone_id])
        return format_html('<a class="wx-link" href="{}">{}</a>', url, hold.drone_id)

    @admin.display(description="What")
    def what(self, hold: DroneHold) -> str:
        return str(hold.get_code_display())

    @admin.display(description="Set by")
    def by(self, hold: DroneHold) -> str:
        return said_by(hold.held_by)

    @admin.display(description="State")
    def state(self, hold: DroneHold) -> SafeString:
        return badge("Released", Tone.IDLE) if hold.released_at else badge("On hold", Tone.BAD)

    @admin.display(description="Released")
    def released(self, hold: DroneHold) -> SafeString | str:
        if hold.released_at is None:
            return "—"
        return format_html("{}, by {}", moment(hold.released_at), said_by(hold.released_by))

    @admin.display(description="What was checked")
    def note(self, hold: DroneHold) -> str:
        return hold.release_note or "—"
