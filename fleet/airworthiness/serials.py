"""Serial numbers by ANSI/CTA-2063-A. Pure.

Such a number has a manufacturer code of four characters, one character for the length of the rest
(1 to 9, A to F for 10 to 15), and the rest. The alphabet is digits and capital letters without O
and I.
"""

import re
from dataclasses import dataclass

SCHEME = "CTA-2063-A"
OWN = "the manufacturer's own"
MAX_CHARACTERS = 40

_HEAD = re.compile(r"([0-9A-HJ-NP-Z]{4})([1-9A-F])([0-9A-HJ-NP-Z]*)")


@dataclass(frozen=True, slots=True)
class Serial:
    """A serial number as it was entered. why_not: why it is none of CTA-2063-A; empty if it is."""

    text: str
    manufacturer: str = ""
    why_not: str = ""

    @property
    def scheme(self) -> str:
        return OWN if self.why_not else SCHEME


def parse(text: str) -> Serial:
    """Reads a serial number; any text is one, and says which scheme it follows."""
    found = _HEAD.fullmatch(text)
    if found is None:
        why = "not a code of four characters, a length from 1 to F and a number without O and I"
        return Serial(text, why_not=why)
    manufacturer, length, rest = found.groups()
    says = int(length, 16)
    if len(rest) != says:
        return Serial(text, why_not=f"the length {length} asks for {says}, {len(rest)} follow")
    return Serial(text, manufacturer)
