"""Telling a receiver: PagerDuty's Events API v2, a signed webhook, or an e-mail.

What is told has the kind of trouble and a number, and neither names, addresses nor tracking ids.
"""

import time
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

import msgspec
from django.conf import settings
from django.core.mail import EmailMessage
from django.urls import reverse

from wingxtra import mail
from wingxtra.escalation.models import AlertMessage, Rule, Severity
from wingxtra.webhooks import secrets, sender

Place = AlertMessage.Place
ACTIONS = {
    Place.TRIGGER: "trigger",
    Place.ACKNOWLEDGE: "acknowledge",
    Place.RESOLVE: "resolve",
}
UNREADABLE = "Its secret cannot be read any more, as SECRET_KEY has changed. Give a new one."
MOST_KEPT = 1000


@dataclass(frozen=True, slots=True)
class Outcome:
    """`refused`: the receiver does not want this message, now or later."""

    arrived: bool
    refused: bool
    answer: str
    took_ms: int


def tell(message: AlertMessage, now: datetime) -> Outcome:
    """Send one message to the receiver of its alert's rule. Never raises for a receiver's fault."""
    rule = message.alert.rule
    if rule.kind == Rule.Kind.EMAIL:
        return _by_email(rule, message)
    try:
        key = secrets.opened(rule.secret or b"")
    except secrets.Unreadable:
        return Outcome(arrived=False, refused=True, answer=UNREADABLE, took_ms=0)
    if rule.kind == Rule.Kind.PAGERDUTY:
        return _posted(rule.url, msgspec.json.encode(event(message, key)), {})
    body = msgspec.json.encode(notice(message))
    return _posted(rule.url, body, _signed(message, key, now, body))


def event(message: AlertMessage, routing_key: str) -> dict[str, Any]:
    """An event of PagerDuty's Events API v2. All events of an alert have its id as `dedup_key`."""
    alert = message.alert
    told = {
        "routing_key": routing_key,
        "event_action": ACTIONS[Place(message.place)],
        "dedup_key": str(alert.pk),
    }
    if message.place != Place.TRIGGER:
        return told
    is_grave = alert.severity == Severity.GRAVE
    return told | {
        "payload": {
            "summary": alert.text,
            "source": urlsplit(settings.PUBLIC_BASE_URL).hostname or "",
            "severity": "critical" if is_grave else "warning",
            "timestamp": alert.seen_at,
            "component": "console",
            "class": alert.cause.partition(":")[0],
            "custom_details": {"rule": alert.rule.name},
        },
        "client": "Wingxtra Delivery",
        "client_url": _console(),
        "links": [{"href": _console(), "text": "The console"}],
    }


def notice(message: AlertMessage) -> dict[str, Any]:
    """The body of a webhook, by the Standard Webhooks scheme."""
    alert = message.alert
    return {
        "type": f"alert.{ACTIONS[Place(message.place)]}",
        "timestamp": message.created_at,
        "data": {
            "key": str(alert.pk),
            "rule": alert.rule.name,
            "severity": alert.severity,
            "text": alert.text,
            "since": alert.seen_at,
            "url": _console(),
        },
    }


def _console() -> str:
    return settings.PUBLIC_BASE_URL + reverse("admin:index")


def _signed(message: AlertMessage, key: str, now: datetime, body: bytes) -> dict[str, str]:
    return {
        "webhook-id": str(message.pk),
        "webhook-timestamp": str(int(now.timestamp())),
        "webhook-signature": secrets.signatures([key], str(message.pk), now, body.decode()),
    }


def _posted(url: str, body: bytes, headers: dict[str, str]) -> Outcome:
    common = {"Content-Type": "application/json", "User-Agent": "Wingxtra-Delivery-Alerts/1"}
    answer = sender.post(url, body, common | headers)
    said = f"{answer.status or ''} {answer.text}".strip()[:MOST_KEPT]
    return Outcome(answer.accepted, answer.refused, said, answer.took_ms)


def _by_email(rule: Rule, message: AlertMessage) -> Outcome:
    started = time.monotonic()
    answer, arrived, refused = "The mail server took it.", True, False
    try:
        mail.send(_mail(rule, message))
    except mail.MailNotSent as error:
        answer, arrived, refused = str(error), False, error.permanent
    return Outcome(arrived, refused, answer, round(1000 * (time.monotonic() - started)))


SUBJECTS = {
    Place.TRIGGER: "{severity}: {text}",
    Place.ACKNOWLEDGE: "Acknowledged: {text}",
    Place.RESOLVE: "Over: {text}",
}


def _mail(rule: Rule, message: AlertMessage) -> EmailMessage:
    alert = message.alert
    host = urlsplit(settings.PUBLIC_BASE_URL).hostname
    thread = f"<{alert.pk}@{host}>"
    is_first = message.place == Place.TRIGGER
    threading = {} if is_first else {"In-Reply-To": thread, "References": thread}
    subject = SUBJECTS[Place(message.place)].format(
        severity=alert.get_severity_display(), text=alert.text
    )
    text = (
        f"{subject}\n\nFirst seen: {alert.seen_at:%d %B %Y, %H:%M:%S} UTC\n"
        f"Escalation rule: {rule.name}\n\n{_console()}\n"
    )
    return EmailMessage(
        subject,
        text,
        to=list(rule.emails),
        headers={
            "Message-ID": thread if is_first else f"<{message.pk}@{host}>",
            "Auto-Submitted": "auto-generated",
            **threading,
        },
    )
