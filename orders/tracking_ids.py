"""Tracking ids as people say, type and scan them. Pure."""

import re
import secrets

# Crockford's base 32: no I, L, O, U, so that it can be read aloud. 13 of them are 65 random bits.
TRACKING_ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
TRACKING_LENGTH = 13
SHORT_LENGTH = 8


def new_tracking_id() -> str:
    return "".join(secrets.choice(TRACKING_ALPHABET) for _ in range(TRACKING_LENGTH))


def plain(text: str) -> str | None:
    """As it is stored, of lower case, hyphens, blanks, O for 0, I or L for 1; None when it has
    other letters or is too long.
    """
    if len(text) > 4 * TRACKING_LENGTH:
        return None
    found = re.sub(r"[\s-]", "", text).upper().translate(str.maketrans("OIL", "011"))
    return found if found and set(found) <= set(TRACKING_ALPHABET) else None


def canonical_id(text: str) -> str | None:
    """A whole tracking id; None when it cannot be one."""
    found = plain(text)
    return found if found is not None and len(found) == TRACKING_LENGTH else None


def spoken(tracking_id: str) -> str:
    """“7Q2K-M9XW-4TZ1H”."""
    return "-".join((tracking_id[:4], tracking_id[4:8], tracking_id[8:]))


def short(tracking_id: str) -> str:
    """What people call a parcel, and what stands on its label: “7Q2K-M9XW”.

    It opens nothing: the rest of the id is missing.
    """
    return f"{tracking_id[:4]}-{tracking_id[4:SHORT_LENGTH]}"
