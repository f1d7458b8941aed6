"""The ways to a customer: e-mail, SMS by anybody's HTTP gateway, and a terminal.

What goes wrong is told without addresses and without what others say of them: it is logged.
"""

import json
import re
import sys
from collections.abc import Callable
from dataclasses import dataclass
from smtplib import SMTPException, SMTPRecipientsRefused, SMTPResponseException
from urllib.parse import quote_plus, urlsplit
from uuid import UUID

from django.conf import settings
from django.core.mail import EmailMessage

from orders.personal_data.masking import masked_email, masked_phone
from tracking.messages.models import CustomerMessage
from wingxtra.exchange import EXCHANGE_ERRORS, address, exchange

Channel = CustomerMessage.Channel

# What HTTP itself calls temporary, and what says something about our key and not about the message.
WORTH_ANOTHER_TRY = (401, 403, 404, 408, 425, 429)


class NotSent(Exception):
    """In words for our staff; `for_good` when another try would end the same way."""

    def __init__(self, why: str, *, for_good: bool = False) -> None:
        super().__init__(why)
        self.for_good = for_good


@dataclass(frozen=True, slots=True)
class Letter:
    """`id` stays the same from try to try, so that a gateway can tell."""

    id: UUID
    address: str
    subject: str
    text: str


def send(channel: str, letter: Letter) -> None:
    """Raises NotSent."""
    ways: dict[str, Callable[[Letter], None]] = {
        Channel.SMS: _by_sms,
        Channel.EMAIL: _by_email,
        Channel.CONSOLE: _on_the_terminal,
    }
    ways[channel](letter)


def _by_email(letter: Letter) -> None:
    host = urlsplit(settings.PUBLIC_BASE_URL).hostname
    mail = EmailMessage(
        letter.subject,
        letter.text,
        to=[letter.address],
        headers={"Message-ID": f"<{letter.id}@{host}>", "Auto-Submitted": "auto-generated"},
    )
    try:
        mail.send()
    except SMTPRecipientsRefused as error:
        codes = [code for code, _ in error.recipients.values()]
        why = f"The mail server refused the address ({codes[0] if codes else 'no code'})."
        raise NotSent(why, for_good=bool(codes) and min(codes) >= 500) from None
    except SMTPResponseException as error:
        raise NotSent(f"The mail server answered {error.smtp_code}.") from None
    except (SMTPException, OSError, ValueError) as error:
        raise NotSent(f"The mail was not sent: {type(error).__name__}.") from None


def _by_sms(letter: Letter) -> None:
    headers = {str(name): str(value) for name, value in settings.SMS_GATEWAY_HEADERS.items()}
    body = filled_in(settings.SMS_GATEWAY_BODY, letter, _content_type(headers))
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
        refused = 400 <= status < 500
        raise NotSent(
            f"The SMS gateway answered {status}.",
            for_good=refused and status not in WORTH_ANOTHER_TRY,
        )


def filled_in(template: str, letter: Letter, content_type: str) -> str:
    """The body with {to}, {text} and {id} filled in, written as the content type wants it."""
    write: Callable[[str], str] = str
    if content_type == "application/x-www-form-urlencoded":
        write = quote_plus
    elif content_type.endswith("json"):
        write = _inside_a_json_string
    values = {"to": letter.address, "text": letter.text, "id": str(letter.id)}
    # In one pass: what is filled in may itself contain braces.
    return re.sub(r"\{(to|text|id)\}", lambda found: write(values[found[1]]), template)


def _inside_a_json_string(text: str) -> str:
    return json.dumps(text)[1:-1]


def _content_type(headers: dict[str, str]) -> str:
    found = [value for name, value in headers.items() if name.lower() == "content-type"]
    return found[0].partition(";")[0].strip().lower() if found else ""


def _on_the_terminal(letter: Letter) -> None:
    """For the demo and development. Terminals are recorded, too: the address is masked."""
    to = masked_email(letter.address) if "@" in letter.address else masked_phone(letter.address)
    sys.stdout.write(f"\n--- Message to {to}: {letter.subject}\n{letter.text}\n")
    sys.stdout.flush()
