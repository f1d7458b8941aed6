"""What staff record: maintenance, defects and their release, attested checks, counters."""

from typing import Any

from django import forms
from django.utils import timezone

from fleet.airworthiness import counters, records
from fleet.airworthiness.fitness import day_at
from fleet.airworthiness.maintenance import HOUR_S
from fleet.airworthiness.models import MAX_TEXT
from fleet.models import Checklist, Defect, Drone, Hub, MaintenanceRule
from wingxtra.accounts.models import User
from wingxtra.console import actions, roles
from wingxtra.console.widgets import MomentInput

roles.seen_by_all(
    "fleet.view_maintenancerule",
    "fleet.view_maintenance",
    "fleet.view_defect",
    "fleet.view_batterypack",
    "fleet.view_checklist",
    "fleet.view_attestation",
)
roles.done_by_ops(
    "fleet.add_maintenance",
    "fleet.add_defect",
    "fleet.change_defect",
    "fleet.add_attestation",
    "fleet.add_batterypack",
    "fleet.change_batterypack",
)


def _text(label: str, help_text: str = "") -> forms.CharField:
    return forms.CharField(
        label=label,
        max_length=MAX_TEXT,
        widget=forms.Textarea(attrs={"rows": 2}),
        help_text=help_text or "It is recorded with your name.",
    )


# --- maintenance ---------------------------------------------------------------------------------


class MaintenanceForm(actions.ActionForm):
    rule = forms.ModelChoiceField(MaintenanceRule.objects.none(), label="Which maintenance?")
    done = _text("What was done?")
    at = forms.DateTimeField(
        label="When (UTC)", widget=MomentInput, required=False, help_text="Empty: now."
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        kinds = {drone.kind_id for drone in self.targets}
        rules = MaintenanceRule.objects.filter(kind__in=kinds, active=True).select_related("kind")
        field: Any = self.fields["rule"]
        field.queryset = rules


def _record(drone: Drone, data: dict[str, Any], user: User) -> str:
    rule = data["rule"]
    records.record_maintenance(drone.pk, rule.pk, by=user.actor, done=data["done"], at=data["at"])
    return f"{rule.name} of {drone} is recorded: {data['done']}"


def _no_rules(drone: Drone) -> str | None:
    has_rules = MaintenanceRule.objects.filter(kind=drone.kind_id, active=True).exists()
    return None if has_rules else f"There is no maintenance rule for a {drone.kind}."


# --- defects -------------------------------------------------------------------------------------


class DefectForm(actions.ActionForm):
    description = _text("What is wrong?")
    grounds = forms.BooleanField(
        label="It must not fly with it",
        required=False,
        initial=True,
        help_text="It gets no orders until the defect is released. A flight under way continues.",
    )


def _report(drone: Drone, data: dict[str, Any], user: User) -> str:
    records.report_defect(
        drone.pk, by=user.actor, description=data["description"], grounds=data["grounds"]
    )
    until = ". It gets no orders until its release" if data["grounds"] else ""
    return f"Defect of {drone} is reported{until}: {data['description']}"


class ReleaseForm(actions.ActionForm):
    done = _text("What was done?", "For example what was replaced, and how it was checked.")


def _release(defect: Defect, data: dict[str, Any], user: User) -> str:
    records.release_defect(defect.pk, by=user.actor, done=data["done"])
    return f"{defect.drone_id} is released from “{defect.description}”: {data['done']}"


# --- pre-flight checks ---------------------------------------------------------------------------


def lacking(hub: Hub) -> list[Checklist]:
    """The checklists that today lacks at this hub."""
    day = day_at(hub.service_area.time_zone, timezone.now())
    return records.open_checklists(hub, day)


class AttestForm(actions.ActionForm):
    """A group of boxes for each checklist that today lacks at the hub; all must be ticked."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        (hub,) = self.targets
        self.checklists = lacking(hub)
        for checklist in self.checklists:
            self.fields[f"checklist-{checklist.pk}"] = _boxes(checklist)

    def clean(self) -> dict[str, Any]:
        data: dict[str, Any] = super().clean() or {}
        for checklist in self.checklists:
            name = f"checklist-{checklist.pk}"
            done = set(data.get(name, ()))
            missing = [item for i, item in enumerate(checklist.items) if str(i) not in done]
            if missing and name not in self.errors:
                self.add_error(name, f"Not ticked: {'; '.join(missing)}.")
        return {**data, "checklists": [checklist.pk for checklist in self.checklists]}


def _boxes(checklist: Checklist) -> forms.MultipleChoiceField:
    of = f"For each {checklist.kind} here." if checklist.kind else "For all drones here."
    return forms.MultipleChoiceField(
        label=checklist.name,
        choices=[(str(i), item) for i, item in enumerate(checklist.items)],
        widget=forms.CheckboxSelectMultiple,
        help_text=of,
    )


def _attest(hub: Hub, data: dict[str, Any], user: User) -> str:
    day = records.attest(hub.pk, data["checklists"], by=user.actor, now=timezone.now())
    return f"The pre-flight checks at {hub} are attested for {day:%d %b}."


def _nothing_to_attest(hub: Hub) -> str | None:
    return None if lacking(hub) else "No checklist of this hub is open today."


# --- counters ------------------------------------------------------------------------------------


class CountersForm(actions.ActionForm):
    flights = forms.IntegerField(min_value=0, max_value=counters.MAX_FLIGHTS)
    hours = forms.FloatField(
        label="Hours in the air", min_value=0, max_value=counters.MAX_SECONDS / HOUR_S
    )
    cycles = forms.IntegerField(label="Battery cycles", min_value=0, max_value=counters.MAX_FLIGHTS)
    reason = _text("Why?", "For example the logbook of its former owner.")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        (drone,) = self.targets
        self.initial = {
            "flights": drone.flights,
            "hours": round(drone.flight_seconds / HOUR_S, 2),
            "cycles": drone.cycles,
        }


def _correct(drone: Drone, data: dict[str, Any], user: User) -> str:
    changed = counters.correct(
        drone.pk,
        flights=data["flights"],
        seconds=round(data["hours"] * HOUR_S),
        cycles=data["cycles"],
        by=user.actor,
        reason=data["reason"],
    )
    return f"Counters of {drone}: {changed}. {data['reason']}"


actions.register(
    actions.Action(
        model=Drone,
        name="maintain",
        label="Record maintenance",
        permission="fleet.add_maintenance",
        form=MaintenanceForm,
        carry_out=_record,
        why_not=_no_rules,
        explanation="The rule counts anew from the flights and hours that the drone has now.",
    ),
    actions.Action(
        model=Drone,
        name="report_defect",
        label="Report a defect",
        permission="fleet.add_defect",
        form=DefectForm,
        carry_out=_report,
        is_grave=True,
    ),
    actions.Action(
        model=Drone,
        name="correct_counters",
        label="Correct the counters",
        permission="fleet.correct_counters",
        form=CountersForm,
        carry_out=_correct,
        in_bulk=False,
    ),
    actions.Action(
        model=Defect,
        name="release",
        label="Release from the defect",
        permission="fleet.change_defect",
        form=ReleaseForm,
        carry_out=_release,
        why_not=lambda defect: "It is released." if defect.released_at else None,
        explanation="The drone may fly again, unless something else stands against it.",
    ),
    actions.Action(
        model=Hub,
        name="attest",
        label="Attest the checks",
        permission="fleet.add_attestation",
        form=AttestForm,
        carry_out=_attest,
        why_not=_nothing_to_attest,
        explanation="You have done these checks today, or have seen them done.",
        in_bulk=False,
    ),
)
