"""The alphabet and the length of an SMS (3GPP TS 23.038). Pure.

One segment has 160 septets of the alphabet GSM-7, in which some characters take two, or 70 UTF-16
units of any text. A longer text is sent and paid as several segments.
"""

import unicodedata

ALPHABET = frozenset(
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?¡"
    "ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà"
)
TAKES_TWO = frozenset("\f^{}\\[~]|€")
SEPTETS = 160
UTF16_UNITS = 70
# Characters that Unicode does not decompose into letters of the alphabet.
REPLACED = str.maketrans(
    {
        **dict.fromkeys("‘’‚‛′`´", "'"),
        **dict.fromkeys("“”„‟″«»", '"'),
        **dict.fromkeys("‐‑‒–—―−", "-"),
        "•": "-",
        "œ": "oe",
        "Œ": "OE",
        "ł": "l",
        "Ł": "L",
        "đ": "d",
        "Đ": "D",
        "ı": "i",
        # Akan, Ewe and Hausa
        "ɛ": "e",
        "Ɛ": "E",
        "ɔ": "o",
        "Ɔ": "O",
        "ŋ": "ng",
        "Ŋ": "Ng",
        "ɖ": "d",
        "Ɖ": "D",
        "ƒ": "f",
        "Ƒ": "F",
        "ɣ": "gh",
        "Ɣ": "Gh",
        "ʋ": "v",
        "Ʋ": "V",
        "ɓ": "b",
        "Ɓ": "B",
        "ɗ": "d",
        "Ɗ": "D",
        "ƙ": "k",
        "Ƙ": "K",
        "ƴ": "y",
        "Ƴ": "Y",
    }
)


def septets(text: str) -> int | None:
    """None if a character is not in the alphabet."""
    if any(c not in ALPHABET and c not in TAKES_TWO for c in text):
        return None
    return len(text) + sum(c in TAKES_TWO for c in text)


def is_one_segment(text: str) -> bool:
    length = septets(text)
    if length is None:
        return len(text.encode("utf-16-le")) // 2 <= UTF16_UNITS
    return length <= SEPTETS


def plain(text: str) -> str:
    """The text in the alphabet: accents that it lacks are lost, and what has no letter there."""
    text = unicodedata.normalize("NFC", text)
    return "".join(c if c in ALPHABET or c in TAKES_TWO else _plain(c) for c in text)


def _plain(character: str) -> str:
    parts = unicodedata.normalize("NFKD", character.translate(REPLACED))
    return "".join(part for part in parts if part in ALPHABET or part in TAKES_TWO)


def shortened(name: str, room: int) -> str:
    """The name in at most `room` septets of the alphabet: “Ridge Pharmacy and Medical Supplies”
    in 18 is "Ridge Pharmacy...". Empty if nothing of it fits.
    """
    name = " ".join(plain(name).split())
    if _length(name) <= room:
        return name
    start = name
    while start and _length(start) > room - 3:
        start = start[:-1]
    whole_words = start if name[len(start)] == " " else start.rpartition(" ")[0]
    # A cut inside the only long word keeps more of it.
    start = whole_words if 2 * len(whole_words) >= len(start) else start
    return f"{start.rstrip(' ,.;:-&')}..." if start else ""


def _length(plain_text: str) -> int:
    return len(plain_text) + sum(c in TAKES_TWO for c in plain_text)
