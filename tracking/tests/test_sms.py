"""Every message is one SMS: the alphabet, the length, and each text with the longest values."""

import re
from itertools import product
from typing import Any

import pytest
from django.conf import settings
from django.utils import translation

from tracking.messages import sms
from tracking.messages.texts import as_sms, written
from tracking.messages.triggers import Kind
from tracking.page.texts import CANCELED_BECAUSE

# A base URL of 45 characters, and a language in the link.
LINK = "https://livraison.pharmacie-centrale-accra.com/track/7Q2KM9XW4TZ1H/?lang=fr"
NAMES = (
    "Ridge Pharmacy",
    "The Ridge Pharmacy and Medical Supplies of Greater Accra and the Eastern Region Ltd.",
    "x" * 120,
    "Ɔdɔ Yɛ Wu {Fish} [Chips] ~ “Ama’s” €uro|Ñandú\\Çedilla^2",
    "{" * 120,
    "阿克拉药房",
    "Café 🚁 Élégance",
)
SUPPORTS = ("", "+233 30 200 0000", "https://help.example/" + "x" * 179)
# Values of each kind, all of their longest form.
VARIANTS: dict[str, dict[str, tuple[Any, ...]]] = {
    Kind.RECEIVED: {"can_move": (True, False), "starts": ("", "LATER")},
    Kind.LAUNCHED: {"code": ("", "123456"), "eta": ("", "23:59")},
    Kind.ARRIVING: {"is_here": (True, False), "eta": ("", "23:59")},
    Kind.DELIVERED: {"is_corrected": (True, False)},
    Kind.DELAYED: {"eta": ("", "LATER")},
    Kind.NEW_TIME: {"starts": ("", "LATER"), "ends": ("LATER",)},
    Kind.CANCELED: {"because": tuple(CANCELED_BECAUSE.values())},
    Kind.FAILED: {"is_corrected": (True, False)},
}
LATER = {"en": "Wed 30 Sep, 23:59", "fr": "le 30/09 à 23:59"}


def contexts(kind: str, language: str) -> list[dict[str, Any]]:
    names, values = VARIANTS[kind].keys(), VARIANTS[kind].values()
    return [
        {
            name: LATER[language] if value == "LATER" else value
            for name, value in zip(names, one, strict=True)
        }
        for one in product(*values)
    ]


def test_every_kind_has_its_variants_here() -> None:
    assert set(VARIANTS) == set(Kind)


@pytest.mark.parametrize("language", dict(settings.LANGUAGES))
@pytest.mark.parametrize("kind", Kind)
def test_every_message_is_one_segment_with_the_longest_values(kind: str, language: str) -> None:
    with translation.override(language):
        for sender, support, context in product(NAMES, SUPPORTS, contexts(kind, language)):
            text = as_sms(kind, {**context, "sender": sender, "support": support, "url": LINK})
            assert sms.septets(text) is not None, text
            assert sms.is_one_segment(text), text
            assert LINK in text or kind in (Kind.DELIVERED, Kind.FAILED, Kind.CANCELED)
            assert not text.startswith(":"), text


@pytest.mark.parametrize("kind", Kind)
def test_french_loses_no_accent_but_the_apostrophe(kind: str) -> None:
    with translation.override("fr"):
        for context in contexts(kind, "fr"):
            values = {**context, "sender": "Ama", "support": "", "url": LINK}
            in_full = written(kind, values)[1]
            assert as_sms(kind, values) == in_full.replace("’", "'")
            assert not re.search(r"\b(your|order|the|we|new|time|about)\b", in_full), in_full


def test_a_short_sender_and_a_short_contact_are_kept() -> None:
    values = {"sender": "Ridge Pharmacy", "support": "+233 30 200 0000", "because": "Canceled"}
    text = as_sms(Kind.CANCELED, values)
    assert text == "Ridge Pharmacy: Canceled. No drone is coming. Questions? +233 30 200 0000"


def test_a_sender_without_letters_of_the_alphabet_is_named_after_us() -> None:
    values = {"sender": "阿克拉药房", "support": ""}
    assert as_sms(Kind.DELIVERED, values) == "Wingxtra: your order was delivered."


@pytest.mark.parametrize(
    ("text", "length"),
    [("", 0), ("a", 1), ("é", 1), ("€", 2), ("[x]", 5), ("ç", None), ("’", None), ("🚁", None)],
)
def test_septets(text: str, length: int | None) -> None:
    assert sms.septets(text) == length


@pytest.mark.parametrize(
    ("text", "fits"),
    [
        ("a" * 160, True),
        ("a" * 161, False),
        ("€" * 80, True),
        ("€" * 80 + "a", False),
        ("’" * 70, True),
        ("’" * 71, False),
        ("🚁" * 35, True),
        ("🚁" * 36, False),
    ],
)
def test_one_segment_has_160_septets_or_70_utf_16_units(text: str, fits: bool) -> None:
    assert sms.is_one_segment(text) is fits


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ("Ama’s “Café”…", 'Ama\'s "Café"...'),
        ("Ɔdɔ Yɛ Wu", "Odo Ye Wu"),
        ("français, œuvre, août", "francais, oeuvre, aout"),
        ("a\u00a0b\u2009c – d", "a b c - d"),
        ("e\u0301te\u0301", "été"),
        ("阿x🚁", "x"),
        ("Łódź £5 €5 [ok]", "Lódz £5 €5 [ok]".replace("ó", "o")),
    ],
)
def test_plain_text_is_in_the_alphabet(text: str, plain: str) -> None:
    assert sms.plain(text) == plain
    assert sms.septets(sms.plain(text)) is not None


@pytest.mark.parametrize(
    ("room", "name"),
    [
        (40, "Ridge Pharmacy and Medical Supplies"),
        (35, "Ridge Pharmacy and Medical Supplies"),
        (34, "Ridge Pharmacy and Medical..."),
        (20, "Ridge Pharmacy..."),
        (14, "Ridge Pharm..."),
        (9, "Ridge..."),
        (3, ""),
        (-5, ""),
    ],
)
def test_a_long_name_is_cut_between_words(room: int, name: str) -> None:
    assert sms.shortened("Ridge Pharmacy and  Medical\nSupplies", room) == name
