"""Channels to a customer: e-mail, SMS by any HTTP gateway, WhatsApp, and the terminal.

Errors are logged, so they contain neither addresses nor the answers of gateways.
"""

import json
import re
import sys
from collections.abc import Callable
from urllib.parse import quote_plus, urlsplit

from django.conf import settings
from django.core.mail import EmailMessage

from orders.personal_data.masking import masked_email, masked_phone
from tracking.messages import whatsapp
from tracking.messages.models import CustomerMessage
from tracking.messages.outgoing import Message, NotSent, is_permanent
from wingxtra.exchange import EXCHANGE_ERRORS, address, exchange
from wingxtra.mail import MailNotSent
from wingxtra.mail import send as send_mail

Channel = CustomerMessage.Channel


def send(channel: str, message: Message) -> str:
    """Returns the gateway's id of the message, if it has one. Raises NotSent."""
    senders: dict[str, Callable[[Message], str | None]] = {
        Channel.SMS: _by_sms,
        Channel.EMAIL: _by_email,
        Channel.WHATSAPP: whatsapp.send,
        Channel.CONSOLE: _on_the_terminal,
    }
    return senders[channel](message) or ""


def _by_email(message: Message) -> None:
    host = urlsplit(settings.PUBLIC_BASE_URL).hostname
    mail = EmailMessage(
        message.subject,
        message.text,
        to=[message.address],
        headers={"Message-ID": f"<{message.id}@{host}>", "Auto-Submitted": "auto-generated"},
    )
    try:
        send_mail(mail)
    except MailNotSent as error:
        raise NotSent(str(error), permanent=error.permanent) from None


def _by_sms(message: Message) -> None:
    headers = {str(name): str(value) for name, value in settings.SMS_GATEWAY_HEADERS.items()}
    body = filled_in(settings.SMS_GATEWAY_BODY, message, _content_type(headers))
    try:
        with exchange(
            settings.SMS_GATEWAY_METHOD,
            address(settings.SMS_GATEWAY_URL),
            headers=headers,
            body=body.encode(),
            timeout_s=settings.SMS_GATEWAY_TIMEOUT_S,
        ) as answer:
            status = answer.status
    except (*EXCHANGE_ERRORS, ValueError) as error:
        raise NotSent(f"The SMS gateway was not reached: {type(error).__name__}.") from None
    if not 200 <= status < 300:
        raise NotSent(f"The SMS gateway answered {status}.", permanent=is_permanent(status))


def filled_in(template: str, message: Message, content_type: str) -> str:
    """The template with {to}, {text} and {id} filled in and escaped for the content type."""
    write: Callable[[str], str] = str
    if content_type == "application/x-www-form-urlencoded":
        write = quote_plus
    elif content_type.endswith("json"):
        write = _inside_a_json_string
    values = {"to": message.address, "text": message.text, "id": str(message.id)}
    # In one pass, because the values may contain braces.
    return re.sub(r"\{(to|text|id)\}", lambda found: write(values[found[1]]), template)


def _inside_a_json_string(text: str) -> str:
    return json.dumps(text)[1:-1]


def _content_type(headers: dict[str, str]) -> str:
    found = [value for name, value in headers.items() if name.lower() == "content-type"]
    return found[0].partition(";")[0].strip().lower() if found else ""


def _on_the_terminal(message: Message) -> None:
    """For the demo and development. The address is masked, because terminals are recorded."""
    to = masked_email(message.address) if "@" in message.address else masked_phone(message.address)
    sys.stdout.write(f"\n--- Message to {to}: {message.subject}\n{message.text}\n")
    sys.stdout.flush()
