"""Handovers between pilots in the console, and flights without a pilot on duty."""

from collections.abc import Collection, Iterable, Iterator
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from django import forms
from django.db.models import Max, QuerySet
from django.urls import reverse
from django.utils import timezone

from dispatch.models import Mission, PilotChange
from dispatch.planning.limits import handover
from fleet import work
from fleet.airworthiness import pilots
from fleet.models import Pilot, ServiceArea, Shift
from wingxtra.accounts.models import User
from wingxtra.console import actions, roles, times
from wingxtra.console import registry as console
from wingxtra.console.look import Look
from wingxtra.console.registry import Attention, Tone

roles.seen_by_all("dispatch.view_pilotchange")
roles.done_by_ops("dispatch.add_pilotchange")

# A shift that ends sooner with drones under way needs a successor.
SOON = timedelta(minutes=15)
MAX_NAMED = 10


class HandoverForm(actions.ActionForm):
    """`to`: the other pilots on duty in the area of the shift, or in the area itself."""

    to = forms.ChoiceField(label="To")
    note = forms.CharField(
        max_length=handover.MAX_NOTE,
        widget=forms.Textarea(attrs={"rows": 2}),
        help_text="What the next pilot must know. It is kept with each flight. No personal data of "
        "customers.",
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        target, now = self.targets[0], timezone.now()
        area = target.service_area if isinstance(target, Shift) else target
        self.on_duty = {
            str(shift.pilot_id): shift
            for shift in pilots.on_duty_in(area, now)
            if not (isinstance(target, Shift) and shift.pilot_id == target.pilot_id)
        }
        drones = work.supervised([shift.pilot_id for shift in self.on_duty.values()], now)
        field: Any = self.fields["to"]
        field.choices = [
            (key, _offer(shift, len(drones.get(shift.pilot_id, ()))))
            for key, shift in self.on_duty.items()
        ]
        if not self.on_duty:
            field.help_text = f"No other pilot is on duty in {area}: plan a shift first."

    def clean_to(self) -> Pilot:
        return self.on_duty[self.cleaned_data["to"]].pilot


def _offer(shift: Shift, drones: int) -> str:
    ends_at = shift.ends_at.astimezone(shift.service_area.zone)
    return f"{shift.pilot}: {drones} of {shift.at_once} drones, until {ends_at:%a %H:%M}"


def _told(changes: list[PilotChange], to: Pilot) -> str:
    count = len({change.mission.drone_id for change in changes})
    return f"{to} supervises {count} more drone{'' if count == 1 else 's'} now."


def _hand_over(shift: Shift, data: dict[str, Any], user: User) -> str:
    changes = handover.hand_over(shift.pilot, data["to"], note=data["note"], by=user.actor)
    return _told(changes, data["to"])


def _supervise(area: ServiceArea, data: dict[str, Any], user: User) -> str:
    changes = handover.supervise(area, data["to"], note=data["note"], by=user.actor)
    return _told(changes, data["to"])


def _end(shift: Shift, data: dict[str, Any], user: User) -> str:
    pilots.end_shift(shift.pk, by=user.actor)
    return f"{shift.pilot}'s shift has ended: {data['reason']}"


def _why_not_hand_over(shift: Shift) -> str | None:
    drones = pilots.supervised(shift.pilot_id, timezone.now())
    return None if drones else f"{shift.pilot} supervises no drone now."


def _why_not_supervise(area: ServiceArea) -> str | None:
    flights = handover.without_a_pilot(timezone.now()).filter(area_id=area.pk)
    if not area.pilots_required:
        return "No pilot is required here."
    return None if flights.exists() else "Each flight here has a pilot on duty."


def _why_not_end(shift: Shift) -> str | None:
    is_on = shift.starts_at <= timezone.now() < shift.ends_at
    return None if is_on else "It is not under way."


actions.register(
    actions.Action(
        model=Shift,
        name="hand-over",
        label="Hand over",
        permission="dispatch.add_pilotchange",
        form=HandoverForm,
        carry_out=_hand_over,
        why_not=_why_not_hand_over,
        explanation="All drones of this pilot, from their assignment until they have landed, go to "
        "another pilot on duty here who has room for them.",
        icon="swap_horiz",
        in_bulk=False,
    ),
    actions.Action(
        model=Shift,
        name="end",
        label="End the shift",
        permission="dispatch.add_pilotchange",
        form=actions.ReasonForm,
        carry_out=_end,
        why_not=_why_not_end,
        explanation="Now, before its planned end. A pilot with drones hands them over first.",
        is_grave=True,
        in_bulk=False,
    ),
    actions.Action(
        model=ServiceArea,
        name="supervise",
        label="Give flights a pilot",
        permission="dispatch.add_pilotchange",
        form=HandoverForm,
        carry_out=_supervise,
        why_not=_why_not_supervise,
        explanation="The flights here whose pilot is not on duty go to a pilot who is.",
        icon="swap_horiz",
        in_bulk=False,
    ),
)
actions.describe(Shift, lambda shift: str(shift.service_area), "pilot", "service_area")


# --- what needs attention ------------------------------------------------------------------------


def areas_with_pilots(now: datetime) -> QuerySet[ServiceArea]:
    return ServiceArea.objects.filter(pilots_required=True)


def flights_without_a_pilot(look: Look) -> Iterator[Attention]:
    """One line for each area. Two statements more where pilots are required."""
    if not (areas := look.rows(areas_with_pilots)):
        return
    flights: dict[Any, list[Mission]] = {}
    pilot_ids: set[int | None] = set()
    missions = handover.without_a_pilot(look.at).only("drone", "pilot", "pilot_name")
    for mission in missions.order_by("created_at"):
        flights.setdefault(mission.area_id, []).append(mission)
        pilot_ids.add(mission.pilot_id)
    ended = _ended(pilot_ids - {None}, look.at)
    for area in areas:
        if area.pk not in flights:
            continue
        drones = {mission.drone_id: mission for mission in flights[area.pk]}
        count = f"{len(drones)} drone{'' if len(drones) == 1 else 's'}"
        verb = "flies" if len(drones) == 1 else "fly"
        yield Attention(
            key=f"no-pilot:{area.pk}",
            level=36 + min(9, len(drones)),
            text=f"{count} in {area} {verb}, or will in a moment, without a pilot on duty",
            detail=f"{_named(drones)} Missions that are not sent yet stay here. Give the flights "
            "to a pilot on duty.",
            url=reverse("admin:fleet_servicearea_change", args=[area.pk]),
            since=max(
                (ended[m.pilot_id] for m in flights[area.pk] if m.pilot_id in ended), default=None
            ),
            tone=Tone.BAD,
            remedies=(
                actions.button(ServiceArea, "supervise", area.pk, next=reverse("admin:index")),
            ),
            cause="no-pilot",
            many="areas have flights without a pilot on duty",
            all_url=f"{reverse('admin:fleet_shift_changelist')}?duty=now",
            about=f"area:{area.pk}",
        )


def _named(drones: dict[str, Mission]) -> str:
    """“Ama Mensah, off duty: WX-DRN-001, WX-DRN-004. No pilot: WX-DRN-007.”"""
    of_pilot: dict[str, list[str]] = {}
    for drone_id, mission in sorted(drones.items()):
        who = f"{mission.pilot_name}, off duty" if mission.pilot_name else "No pilot"
        of_pilot.setdefault(who, []).append(drone_id)
    return " ".join(f"{who}: {_listed(ids)}." for who, ids in sorted(of_pilot.items()))


def _listed(ids: list[str]) -> str:
    more = len(ids) - MAX_NAMED
    return ", ".join(ids[:MAX_NAMED]) + (f" and {more} more" if more > 0 else "")


def _ended(pilot_ids: Collection[int | None], now: datetime) -> dict[int | None, datetime]:
    """When each of these pilots last went off duty."""
    over = Shift.objects.filter(pilot__in=pilot_ids, ends_at__lte=now).order_by()
    return dict(over.values_list("pilot").annotate(Max("ends_at")))


def shifts_ending(now: datetime) -> QuerySet[Shift]:
    ending = Shift.objects.on_duty(now).filter(
        ends_at__lte=now + SOON, service_area__pilots_required=True
    )
    return ending.select_related("pilot", "service_area").order_by("ends_at")


def shifts_that_end(look: Look) -> Iterator[Attention]:
    """Shifts that end within SOON with drones under way. One statement more if a shift ends."""
    shifts = look.rows(shifts_ending)
    drones = work.supervised([shift.pilot_id for shift in shifts], look.at) if shifts else {}
    for shift in shifts:
        if not (ids := sorted(drones.get(shift.pilot_id, ()))):
            continue
        ends_at = shift.ends_at.astimezone(shift.service_area.zone)
        yield Attention(
            key=f"shift-ends:{shift.pk}",
            level=22,
            text=f"{shift.pilot}'s shift in {shift.service_area} ends at {ends_at:%H:%M} with "
            f"{len(ids)} drone{'' if len(ids) == 1 else 's'} under way",
            detail=f"{_listed(ids)}. Hand over, or make the shift longer.",
            url=reverse("admin:fleet_shift_change", args=[shift.pk]),
            since=shift.ends_at - SOON,
            remedies=(actions.button(Shift, "hand-over", shift.pk, next=reverse("admin:index")),),
            cause="shift-ends",
            many="shifts end soon with drones under way",
            all_url=f"{reverse('admin:fleet_shift_changelist')}?duty=now",
        )


console.add_attention(
    flights_without_a_pilot,
    checks="each flight that needs a pilot has one on duty",
    reads=[areas_with_pilots],
)
console.add_attention(
    shifts_that_end, checks="no shift ends soon with drones under way", reads=[shifts_ending]
)


# --- on an order's page --------------------------------------------------------------------------


def in_words(mission: Mission, changes: Iterable[PilotChange], zone: ZoneInfo) -> str:
    """“Kofi Asante, from Ama Mensah at 30 Nov 14:02 GMT: both are out.”; empty without one."""
    handed = [
        f"from {change.former_name or 'no pilot'} at {times.in_words(change.changed_at, zone)}: "
        f"{change.note}"
        for change in changes
        if change.mission_id == mission.pk
    ]
    return "; ".join([mission.pilot_name, *handed]) if mission.pilot_name else ""
