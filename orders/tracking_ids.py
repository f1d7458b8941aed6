"""Tracking ids: how they are made, read from input and displayed. Pure."""

import re
import secrets

# Crockford's base 32: no I, L, O, U, so that it can be read aloud. 13 letters hold 65 random bits.
TRACKING_ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
TRACKING_LENGTH = 13
SHORT_LENGTH = 8


# A letter for each byte. 256 is a multiple of 32, so that each letter is as likely as any other.
_LETTERS = TRACKING_ALPHABET.encode() * 8


def new_tracking_id() -> str:
    return secrets.token_bytes(TRACKING_LENGTH).translate(_LETTERS).decode()


def normalized(text: str) -> str | None:
    """All or a part of a tracking id as it is stored. Accepts lower case, hyphens, blanks, O for 0,
    I or L for 1. None when it has other letters or is too long.
    """
    if len(text) > 4 * TRACKING_LENGTH:
        return None
    stored = re.sub(r"[\s-]", "", text).upper().translate(str.maketrans("OIL", "011"))
    return stored if stored and set(stored) <= set(TRACKING_ALPHABET) else None


def canonical_id(text: str) -> str | None:
    """A complete tracking id; None when the text cannot be one."""
    stored = normalized(text)
    return stored if stored is not None and len(stored) == TRACKING_LENGTH else None


def grouped(tracking_id: str) -> str:
    """“7Q2K-M9XW-4TZ1H”, to be read aloud."""
    return "-".join((tracking_id[:4], tracking_id[4:8], tracking_id[8:]))


def short(tracking_id: str) -> str:
    """The short name of a parcel, as on its label: “7Q2K-M9XW”.

    It gives no access to the tracking page, which needs the complete id.
    """
    return f"{tracking_id[:4]}-{tracking_id[4:SHORT_LENGTH]}"
