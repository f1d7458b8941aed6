"""The what-if form: a day, a change of drones, and rules as in the policy's form."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

from django import forms
from django.utils import timezone

from dispatch.models import WhatIf
from dispatch.whatif import questions
from fleet.console.policy_form import GROUPS, PolicyForm
from fleet.models import DroneKind, Hub, Policy, ServiceArea
from wingxtra.accounts.identity import Actor
from wingxtra.problems import Invalid

DAY_AND_DRONES = {
    "The day": ("day", "service_area"),
    "Drones": ("more_drones", "hub", "kind"),
}


class WhatIfForm(forms.Form):
    """Call `ask` once it is valid. again: an earlier what-if whose values are filled in."""

    day = forms.DateField(
        label="Day (UTC)",
        widget=forms.DateInput(attrs={"type": "date"}, format="%Y-%m-%d"),
        help_text="Orders count by when they were placed, or by their agreed start.",
    )
    service_area = forms.ModelChoiceField(
        ServiceArea.objects.filter(active=True), label="Service area", empty_label="Choose one"
    )
    more_drones = forms.IntegerField(
        label="More drones",
        min_value=-questions.MAX_DRONE_CHANGE,
        max_value=questions.MAX_DRONE_CHANGE,
        initial=0,
        help_text="0 for no change, −2 for two fewer.",
    )
    hub = forms.ModelChoiceField(
        Hub.objects.all(), label="At the hub", required=False, empty_label="Choose one"
    )
    kind = forms.ModelChoiceField(
        DroneKind.objects.all(),
        label="Of the kind",
        required=False,
        empty_label="The hub's usual kind",
    )

    def __init__(self, *args: Any, again: WhatIf | None = None, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        row = Policy.objects.get(pk=1)
        for name, (_, after) in again.changes.items() if again else ():
            setattr(row, name, after)
        policy = PolicyForm(instance=row)
        # A ModelForm leaves these validators to its model. This form has no model.
        bounds = {field.name: field.validators for field in Policy._meta.concrete_fields}
        for name in questions.RULES:
            self.fields[name] = field = policy.fields[name]
            field.validators = [*field.validators, *bounds[name]]
        rules = {name: policy.initial[name] for name in questions.RULES}
        self.initial = {**rules, **(_values_of(again) if again else _defaults())}

    def groups(self) -> Iterator[tuple[str, list[forms.BoundField]]]:
        """(title, fields) pairs; the rules are grouped as in the policy's form."""
        for title, names in {**DAY_AND_DRONES, **GROUPS}.items():
            if shown := [self[name] for name in names if name in self.fields]:
                yield title, shown

    def ask(self, by: Actor) -> WhatIf | None:
        """Write the question. Returns None if it is refused, with the errors in the form."""
        data = self.cleaned_data
        try:
            return questions.ask(
                by=by,
                day=data["day"],
                area=data["service_area"],
                rules={name: data[name] for name in questions.RULES},
                more_drones=data["more_drones"],
                hub=data["hub"],
                kind=data["kind"],
            )
        except Invalid as refused:
            for problem in refused.errors:
                self.add_error(problem.field or None, problem.message)
            return None


def _defaults() -> dict[str, Any]:
    areas = list(ServiceArea.objects.filter(active=True)[:2])
    yesterday = timezone.localdate() - timedelta(days=1)
    return {"day": yesterday, "service_area": areas[0].pk if len(areas) == 1 else None}


def _values_of(asked: WhatIf) -> dict[str, Any]:
    return {
        "day": asked.day,
        "service_area": asked.service_area_id,
        "more_drones": asked.more_drones,
        "hub": asked.hub_id,
        "kind": asked.kind_id,
    }
