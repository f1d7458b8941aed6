"""Text in the cells of a CSV file. Pure.

A spreadsheet runs a cell that begins with one of FORMULA as a formula, also in a file from another
person. An apostrophe before it makes it text: we write it, and take it away when such a file
comes back.
"""

import math
import re

FORMULA = ("=", "+", "-", "@", "\t", "\r")
NUMBER = re.compile(r"[+-]?\d{1,40}(\.\d{1,40})?([eE][+-]?\d{1,3})?")


def harmless(text: str) -> str:
    return f"'{text}" if text.startswith(FORMULA) else text


def original(text: str) -> str:
    """The text that `harmless` was given, without surrounding spaces."""
    text = text.strip()
    return text[1:] if text.startswith("'") and text[1:].startswith(FORMULA) else text


def number_or_text(text: str, *, decimal_comma: bool) -> float | str:
    """The number in a cell; its text when it holds none, for the field to refuse."""
    written = text.replace(",", ".", 1) if decimal_comma and "." not in text else text
    if NUMBER.fullmatch(written) and math.isfinite(value := float(written)):
        return value
    return text
