"""Texts that people must write."""

from fleet.airworthiness.models import MAX_TEXT
from wingxtra.problems import FieldProblem, Invalid


def in_writing(field: str, text: str, what: str) -> str:
    """The text without spaces around it. Raises Invalid if it is empty or too long."""
    text = text.strip()
    if not 0 < len(text) <= MAX_TEXT:
        message = f"Say in 1 to {MAX_TEXT} characters {what}."
        raise Invalid([FieldProblem(field, "required" if not text else "too_long", message)])
    return text
