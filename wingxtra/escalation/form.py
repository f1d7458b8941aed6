"""The form of an escalation rule. Secrets are written and never shown."""

from typing import Any

from django import forms
from unfold.widgets import UnfoldAdminPasswordWidget, UnfoldAdminTextInputWidget

from wingxtra import opening_hours
from wingxtra.escalation.models import PAGERDUTY_URL, Rule
from wingxtra.opening_hours.form import HoursForm
from wingxtra.webhooks import secrets, sender

KEPT = "Is kept and not shown. Empty: as it is."


def _secret(label: str, help_text: str) -> forms.CharField:
    return forms.CharField(
        max_length=200,
        required=False,
        label=label,
        help_text=help_text,
        widget=UnfoldAdminPasswordWidget(attrs={"autocomplete": "off"}),
    )


class RuleForm(HoursForm):
    timezone = forms.CharField(
        max_length=64,
        required=False,
        widget=UnfoldAdminTextInputWidget(attrs={"placeholder": "Africa/Accra"}),
        label="Time zone",
        help_text="Of the hours: an IANA name like Africa/Accra. Empty: always.",
    )
    key = _secret("PagerDuty's integration key", f"Of an “Events API v2” integration. {KEPT}")
    hook_key = _secret(
        "PagerDuty's signing secret",
        f"Of its webhook subscription, so that what is acknowledged there shows here. {KEPT}",
    )

    class Meta:
        model = Rule
        fields = ("name", "enabled", "severity", "after_s", "kind", "url", "emails")
        labels = {"emails": "E-mail addresses"}
        widgets = {"emails": UnfoldAdminTextInputWidget}
        help_texts = {
            "url": f"PagerDuty: empty for {PAGERDUTY_URL}. Webhook: where alerts are posted.",
            "emails": "For e-mail: addresses, with commas between them.",
        }

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if "weekly" in self.fields:  # a page to read has none of them
            self.fields["weekly"].label = "Hours"
            self.fields["weekly"].help_text = "A line per weekday or range of them. Empty: always."
        if hours := self.instance.hours:
            self.initial["timezone"] = hours["timezone"]

    def clean(self) -> dict[str, Any]:
        data: dict[str, Any] = super().clean() or {}
        self._read_hours(data)
        read = {Rule.Kind.EMAIL: self._read_emails, Rule.Kind.WEBHOOK: self._read_webhook}
        read.get(data.get("kind", ""), self._read_pagerduty)(data)
        return data

    def _read_hours(self, data: dict[str, Any]) -> None:
        hours = {"timezone": data.get("timezone", ""), **self.written_hours(data)}
        if not hours["timezone"]:
            if hours.get("weekly") or hours.get("exceptions"):
                self.add_error("timezone", "Hours need their time zone.")
            self.instance.hours = None
            return
        self.instance.hours = hours
        if not self.errors:
            for place, message in opening_hours.problems(hours):
                self.add_error(place.partition(".")[0], message)

    def _read_emails(self, data: dict[str, Any]) -> None:
        if not data.get("emails"):
            self.add_error("emails", "Give at least one address.")
        data["url"] = ""
        self.instance.secret = self.instance.hook_secret = None

    def _read_webhook(self, data: dict[str, Any]) -> None:
        self._check_url(data)
        data["emails"] = []
        was_pagerduty = self.initial.get("kind") == Rule.Kind.PAGERDUTY
        if self.instance.secret is None or was_pagerduty:
            # No person knows this one: the action “New signing secret” shows the next.
            self.instance.secret = secrets.sealed(secrets.new_secret())
        self.instance.hook_secret = None

    def _read_pagerduty(self, data: dict[str, Any]) -> None:
        data["url"] = data.get("url") or PAGERDUTY_URL
        self._check_url(data)
        data["emails"] = []
        is_as_it_was = all(data.get(name) == self.initial.get(name) for name in ("url", "kind"))
        if data.get("key"):
            self.instance.secret = secrets.sealed(data["key"])
        elif self.instance.secret is None or not is_as_it_was:
            self.add_error("key", "Give the integration key: it is sent to this address.")
        if data.get("hook_key"):
            self.instance.hook_secret = secrets.sealed(data["hook_key"])

    def _check_url(self, data: dict[str, Any]) -> None:
        if "url" not in data:
            return
        try:
            sender.check_url(data["url"])
        except sender.BadUrl as error:
            self.add_error("url", str(error))
