"""The secrets that sign webhooks, by the Standard Webhooks scheme.

Signing needs the plain secret, so it is stored encrypted (Fernet) with a key derived from
SECRET_KEY: a copy of the database alone does not reveal it. To change SECRET_KEY, keep the former
one in SECRET_KEY_FALLBACKS, or rotate the secret of every endpoint.
"""

import base64
import secrets
from collections.abc import Iterable
from datetime import datetime

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from django.conf import settings
from django.utils.crypto import salted_hmac
from standardwebhooks import Webhook

PREFIX = "whsec_"
SECRET_BYTES = 24  # the scheme's minimum


class Unreadable(Exception):
    """Sealed under another SECRET_KEY."""


def new_secret() -> str:
    return PREFIX + base64.b64encode(secrets.token_bytes(SECRET_BYTES)).decode()


def sealed(secret: str) -> bytes:
    return _seal().encrypt(secret.encode())


def opened(stored: bytes | memoryview) -> str:
    """Raises Unreadable."""
    try:
        return _seal().decrypt(bytes(stored)).decode()
    except InvalidToken as error:
        raise Unreadable from error


def signatures(keys: Iterable[str], message_id: str, at: datetime, body: str) -> str:
    """The header `webhook-signature`: one signature per secret. One valid signature is enough."""
    return " ".join(Webhook(key).sign(message_id, at, body) for key in keys)


def _seal() -> MultiFernet:
    return MultiFernet(
        Fernet(base64.urlsafe_b64encode(_key_from(secret)))
        for secret in (settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS)
    )


def _key_from(secret: str | bytes) -> bytes:
    # The salt is the name that this module once had: with another, no stored secret could be read.
    return salted_hmac("tracking.webhook_secrets", "", secret=secret, algorithm="sha256").digest()
