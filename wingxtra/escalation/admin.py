"""Escalation in the console: ADMIN's rules, and what became of each alert."""

from typing import Any

from django.contrib import admin
from django.http import HttpRequest
from django.utils.safestring import SafeString

from wingxtra.console.admin import ConsoleAdmin, ReadOnlyAdmin, badge, duration, moment
from wingxtra.console.lists.filters import of_row
from wingxtra.console.registry import Tone
from wingxtra.escalation.console import MESSAGE_TONE, STATE_TONE
from wingxtra.escalation.form import RuleForm
from wingxtra.escalation.models import Alert, Rule, Severity
from wingxtra.opening_hours.form import in_lines

WHO = ("kind", "url", "emails")


@admin.register(Rule)
class RuleAdmin(ConsoleAdmin):
    """A rule is switched off and never deleted: its alerts tell what was done."""

    form = RuleForm
    list_display = ("name", "which", "after", "receiver", "state")
    list_filter = ("enabled", "kind")
    search_fields = ("name",)
    when_empty = (
        "There is no rule: grave lines are told nowhere outside of the console. An "
        "administrator adds one: who is told, and when."
    )
    readonly_fields = ("when",)

    def get_fields(self, request: HttpRequest, obj: Rule | None = None) -> Any:
        first = ("name", "enabled", "severity", "after_s")
        if obj is None or self.has_change_permission(request, obj):
            return (*first, "timezone", "weekly", "exceptions", *WHO, "key", "hook_key")
        # An address is personal data, and a URL of a chat service is a secret.
        return (*first, "when", "kind")

    def has_delete_permission(self, request: HttpRequest, obj: Rule | None = None) -> bool:
        return False

    @admin.display(description="Lines", ordering="severity")
    def which(self, rule: Rule) -> str:
        return rule.get_severity_display()

    @admin.display(description="After", ordering="after_s")
    def after(self, rule: Rule) -> str:
        return f"{rule.after_s} s" if rule.after_s else "At once"

    @admin.display(description="Receiver", ordering="kind")
    def receiver(self, rule: Rule) -> str:
        return rule.get_kind_display()

    @admin.display(description="State", ordering="enabled")
    def state(self, rule: Rule) -> SafeString:
        return badge("On", Tone.GOOD) if rule.enabled else badge("Off", Tone.IDLE)

    @admin.display(description="Hours")
    def when(self, rule: Rule) -> SafeString | str:
        return in_lines(rule.hours, rule.hours["timezone"]) if rule.hours else "Always"


@admin.register(Alert)
class AlertAdmin(ReadOnlyAdmin):
    list_display = ("text", "rule", "standing", "sent", "first_seen", "told", "acknowledged")
    list_filter = ("state", of_row("rule", lambda: Rule.objects.order_by("name")), "severity")
    list_select_related = ("rule",)
    when_empty = (
        "No alert was raised in the last 90 days. "
        "One begins when a line of the dashboard is open for as long as a rule says."
    )
    fields = (
        "text",
        "rule",
        "cause",
        "severity",
        "standing",
        "seen_at",
        "told_at",
        "acknowledged_at",
        "acknowledged_by",
        "quiet_until",
        "resolved_at",
        "resolved_because",
    )
    readonly_fields = ("standing",)

    def get_queryset(self, request: HttpRequest) -> Any:
        return super().get_queryset(request).prefetch_related("messages")

    @admin.display(description="State", ordering="state")
    def standing(self, alert: Alert) -> SafeString:
        is_grave = alert.severity == Severity.GRAVE and alert.state == Alert.State.TOLD
        tone = Tone.BAD if is_grave else STATE_TONE[alert.state]
        return badge(alert.get_state_display(), tone)

    @admin.display(description="Last message")
    def sent(self, alert: Alert) -> SafeString | str:
        messages = list(alert.messages.all())
        if not messages:
            return "—"
        return badge(str(messages[-1]), MESSAGE_TONE[messages[-1].state])

    @admin.display(description="First seen", ordering="seen_at")
    def first_seen(self, alert: Alert) -> SafeString | str:
        return moment(alert.seen_at, seconds=True)

    @admin.display(description="Told after")
    def told(self, alert: Alert) -> str:
        return duration(alert.told_at - alert.seen_at) if alert.told_at else "—"

    @admin.display(description="Acknowledged by")
    def acknowledged(self, alert: Alert) -> str:
        return alert.acknowledged_by or "—"
