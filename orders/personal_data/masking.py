"""Masked names, phone numbers and e-mail addresses of customers for lists."""

from typing import Any

STARS = "***"


def masked_name(name: str) -> str:
    """The first letter of each word."""
    return " ".join(word[0] + STARS for word in name.split())


def masked_phone(phone: Any) -> str:
    """The last three digits."""
    digits = str(phone) if phone else ""
    return STARS + digits[-3:] if digits else ""


def masked_email(email: str) -> str:
    """The first letter and the domain."""
    name, _, domain = email.partition("@")
    return f"{name[:1]}{STARS}@{domain}" if domain else ""


def masked_text(text: str) -> str:
    """Only that there is one."""
    return STARS if text else ""
