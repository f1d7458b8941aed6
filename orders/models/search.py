"""What a search text means: words, a phone number, a tracking id, a pasted link. Pure."""

import re
from contextlib import suppress
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from orders import tracking_ids

# Fewer digits are part of many phone numbers.
MIN_PHONE_DIGITS = 4
MIN_WHOLE_PHONE = 8
# A part of a tracking id that is this short is also part of many names.
MIN_TRACKING_CHARACTERS = 4
PHONE = re.compile(r"[+]?[\d\s().\-/]+")
LINK = re.compile(r"/track(?:ing)?/([^/?#\s]+)")


@dataclass(frozen=True, slots=True)
class Terms:
    """words: all of them must match. wholes: one of them is enough. id: the order's own id."""

    words: tuple[str, ...]
    wholes: tuple[str, ...] = ()
    id: UUID | None = None


def terms_of(text: str) -> Terms | None:
    """None when the text can match nothing: a line break separates the searched fields."""
    if "\n" in text:
        return None
    text = text.strip()
    if link := LINK.search(text):
        text = link[1]
    order_id = None
    with suppress(ValueError):
        order_id = UUID(text)
    phone = _phone(text)
    wholes = tuple(each for each in (phone, _tracking_id(text)) if each)
    # The parts of a phone number are no words: each of them is part of many numbers.
    is_one_word = phone is not None and text[0] in "+0("
    words = (text,) if is_one_word else tuple(text.split()) or (text,)
    return Terms(words, wholes, order_id)


def names(text: str, order: Any, *, in_full: bool) -> bool:
    """Whether the text is a name of this order as a whole: an id, its merchant's reference, or,
    `in_full`, its phone number.
    """
    terms = terms_of(text)
    if terms is None:
        return False
    whole = " ".join(terms.words)
    own = {order.public_tracking_id, order.external_id}
    phone = order.customer_phone.removeprefix("+")
    is_phone = in_full and len(phone) >= MIN_WHOLE_PHONE and _is_end_of(terms, phone)
    return terms.id == order.pk or is_phone or bool(own & {whole, whole.upper(), *terms.wholes})


def _is_end_of(terms: Terms, phone: str) -> bool:
    """National forms leave out the country's code, which has at most three digits."""
    return any(phone.endswith(one) and len(phone) - len(one) <= 3 for one in terms.wholes)


def _phone(text: str) -> str | None:
    """The digits as in a stored E.164 number: without 00, without the 0 of the national form."""
    if not PHONE.fullmatch(text):
        return None
    digits = re.sub(r"\D", "", text)
    if digits.startswith("00"):
        digits = digits[2:]
    elif digits.startswith("0"):
        digits = digits[1:]
    return digits if len(digits) >= MIN_PHONE_DIGITS else None


def _tracking_id(text: str) -> str | None:
    """All or a part of a tracking id, as stored; None for a text that is more likely a word."""
    stored = tracking_ids.normalized(text)
    if stored is None or len(stored) < MIN_TRACKING_CHARACTERS or stored == text.upper():
        return None
    is_grouped = "-" in text or any(letter.isdigit() for letter in text)
    return stored if is_grouped else None
