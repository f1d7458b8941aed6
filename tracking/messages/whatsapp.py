"""WhatsApp by Meta's Cloud API: sends template messages, and reads what its webhook reports.

A business may write first only with a template that Meta has approved. Ours has one parameter, the
text of the message (docs/operations.md has its wording).
"""

import hashlib
import hmac
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import UUID

import msgspec
from django.conf import settings

from tracking.messages.outgoing import Message, NotSent, is_permanent
from wingxtra.exchange import EXCHANGE_ERRORS, address, below, exchange

MAX_ANSWER_BYTES = 64 * 1024
# Error codes of Meta for too many messages. Their HTTP status does not always say so.
RATE_LIMITS = (4, 80007, 130429, 131048, 131056)


class _Error(msgspec.Struct):
    code: int = 0
    title: str = ""


class _Sent(msgspec.Struct):
    id: str = ""


class _Answer(msgspec.Struct):
    messages: list[_Sent] = []
    error: _Error = msgspec.field(default_factory=_Error)


class _Status(msgspec.Struct):
    status: str = ""
    timestamp: int = 0
    biz_opaque_callback_data: str = ""
    errors: list[_Error] = []


class _Value(msgspec.Struct):
    statuses: list[_Status] = []


class _Change(msgspec.Struct):
    value: _Value = msgspec.field(default_factory=_Value)


class _Entry(msgspec.Struct):
    changes: list[_Change] = []


class _Notification(msgspec.Struct):
    entry: list[_Entry] = []


@dataclass(frozen=True, slots=True)
class Receipt:
    """What became of one of our messages. status: sent, delivered, read, failed, or a word of Meta
    that is new to us. problem: why it failed, without numbers and addresses.
    """

    message_id: UUID
    status: str
    at: datetime
    problem: str


def is_configured() -> bool:
    return bool(settings.WHATSAPP_PHONE_NUMBER_ID and settings.WHATSAPP_TOKEN)


def send(message: Message) -> str:
    """Returns Meta's id of the message. Raises NotSent."""
    path = f"/{settings.WHATSAPP_API_VERSION}/{settings.WHATSAPP_PHONE_NUMBER_ID}/messages"
    headers = {
        "Authorization": f"Bearer {settings.WHATSAPP_TOKEN}",
        "Content-Type": "application/json",
    }
    try:
        with exchange(
            "POST",
            below(address(settings.WHATSAPP_API_URL), path),
            headers=headers,
            body=msgspec.json.encode(_body(message)),
            timeout_s=settings.WHATSAPP_TIMEOUT_S,
        ) as answer:
            status, text = answer.status, answer.read(MAX_ANSWER_BYTES)
    except (*EXCHANGE_ERRORS, ValueError) as error:
        raise NotSent(f"WhatsApp was not reached: {type(error).__name__}.") from None
    read = _Answer()
    with suppress(msgspec.MsgspecError):
        read = msgspec.json.decode(text, type=_Answer)
    if 200 <= status < 300:
        return read.messages[0].id if read.messages else ""
    code = read.error.code
    raise NotSent(
        f"WhatsApp answered {status}{f' (code {code})' if code else ''}.",
        permanent=is_permanent(status) and code not in RATE_LIMITS,
    )


def _body(message: Message) -> dict[str, object]:
    # Meta refuses line breaks in a parameter.
    parameter = {"type": "text", "text": " ".join(message.text.split())}
    return {
        "messaging_product": "whatsapp",
        "recipient_type": "individual",
        "to": message.address.removeprefix("+"),
        "type": "template",
        "template": {
            "name": settings.WHATSAPP_TEMPLATE,
            "language": {"code": message.language},
            "components": [{"type": "body", "parameters": [parameter]}],
        },
        # Comes back with each receipt.
        "biz_opaque_callback_data": str(message.id),
    }


def is_signed(body: bytes, signature: str) -> bool:
    """Whether this is the value of `X-Hub-Signature-256` for these bytes."""
    secret = settings.WHATSAPP_APP_SECRET.encode()
    expected = f"sha256={hmac.new(secret, body, hashlib.sha256).hexdigest()}"
    return bool(secret) and hmac.compare_digest(expected.encode(), signature.encode())


def receipts(body: bytes) -> Iterator[Receipt]:
    """The receipts in a notification; it may have none. Raises msgspec.MsgspecError for a body of
    another form.
    """
    notification = msgspec.json.decode(body, type=_Notification, strict=False)
    for entry in notification.entry:
        for change in entry.changes:
            for status in change.value.statuses:
                # A message that was sent by another system has none of our ids.
                with suppress(ValueError, OverflowError):
                    yield _receipt(status)


def _receipt(status: _Status) -> Receipt:
    """Raises ValueError."""
    problem = ""
    if status.errors:
        problem = f"WhatsApp: {status.errors[0].title} ({status.errors[0].code})."
    return Receipt(
        message_id=UUID(status.biz_opaque_callback_data),
        status=status.status,
        at=datetime.fromtimestamp(status.timestamp, tz=UTC),
        problem=problem[:300],
    )
