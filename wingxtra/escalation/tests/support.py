"""Rules, an attention list that tests fill in, and rounds of the scheduler and the workers."""

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import factory
from django.utils import timezone

from tracking.tests.receiver import Receiver
from wingxtra.console.registry import Attention, NotChecked, Tone
from wingxtra.escalation import looking, sending
from wingxtra.escalation.models import AlertMessage, Rule
from wingxtra.webhooks import secrets

ROUTING_KEY = "0123456789abcdef0123456789abcdef"
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
HOOK_SECRET = "pagerduty-signs-with-this"


class RuleFactory(factory.django.DjangoModelFactory):
    """Tells a webhook of grave lines at once."""

    class Meta:
        model = Rule

    name = factory.Sequence(lambda n: f"On call {n}")
    kind = Rule.Kind.WEBHOOK
    url = "https://on-call.example/alerts"
    secret = factory.LazyFunction(lambda: secrets.sealed(SECRET))


class PagerDutyFactory(RuleFactory):
    name = factory.Sequence(lambda n: f"PagerDuty {n}")
    kind = Rule.Kind.PAGERDUTY
    secret = factory.LazyFunction(lambda: secrets.sealed(ROUTING_KEY))
    hook_secret = factory.LazyFunction(lambda: secrets.sealed(HOOK_SECRET))


@dataclass
class Board:
    """The attention list of a test. `before` runs when it is read."""

    items: list[Attention] = field(default_factory=list)
    not_checked: str = ""
    before: Callable[[], object] = lambda: None

    def find(self) -> list[Attention]:
        self.before()
        if self.not_checked:
            raise NotChecked(self.not_checked)
        return self.items


def leak(level: int = 30, tone: Tone = Tone.BAD, key: str = "leak", **more: Any) -> Attention:
    return Attention(key=key, level=level, text="The roof leaks", tone=tone, **more)


def look() -> None:
    """One tick of the scheduler."""
    looking.look(timezone.now())


def send_all() -> None:
    """What the workers do until nothing is due."""
    while pks := list(AlertMessage.objects.due(timezone.now()).values_list("pk", flat=True)):
        for pk in pks:
            if taken := sending.take(pk):
                sending.send(taken)


def go_on() -> None:
    look()
    send_all()


def told(receiver: Receiver) -> list[str]:
    """What a webhook or PagerDuty was told, in order."""
    bodies = [json.loads(one.body) for one in receiver.received]
    return [body.get("event_action") or body["type"].removeprefix("alert.") for body in bodies]
