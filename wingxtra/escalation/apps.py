from django.apps import AppConfig


class EscalationConfig(AppConfig):
    name = "wingxtra.escalation"
    label = "escalation"
    verbose_name = "Escalation"
