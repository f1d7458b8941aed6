"""A merchant's look on the tracking page: a small logo, and a text color for its brand color."""

import uuid
from io import BytesIO

from django.core.exceptions import ValidationError
from django.core.files.base import ContentFile, File
from PIL import Image, UnidentifiedImageError

LOGO_SIDE_PX = 192
LOGO_MAX_BYTES = 2 * 1024 * 1024
LIGHT, DARK = "#ffffff", "#000000"


def as_logo(file: "File[bytes]") -> "ContentFile[bytes]":
    """An uploaded picture as a PNG of at most 192 px a side, without the file's metadata.

    Raises ValidationError.
    """
    if file.size > LOGO_MAX_BYTES:
        raise ValidationError("The logo may have at most 2 MB.", code="too_large")
    try:
        image = Image.open(file, formats=["PNG", "JPEG", "WEBP"])
        image.thumbnail((LOGO_SIDE_PX, LOGO_SIDE_PX))
        pixels = image.convert("RGBA")
    except (UnidentifiedImageError, Image.DecompressionBombError, OSError, ValueError) as error:
        message = "This file is not a PNG, JPEG or WebP picture."
        raise ValidationError(message, code="not_an_image") from error
    encoded = BytesIO()
    pixels.save(encoded, "PNG", optimize=True)
    # A new name for each upload, so that browsers may cache the file forever.
    return ContentFile(encoded.getvalue(), name=f"{uuid.uuid4().hex}.png")


def ink_on(color: str) -> str:
    """White or black: the one with the higher contrast on `color`, which is at least 4.5 to 1."""
    return max((LIGHT, DARK), key=lambda ink: contrast(ink, color))


def contrast(one: str, other: str) -> float:
    """Contrast ratio of two colors like #0b7a4b, 1 to 21 (WCAG 2.2, “contrast ratio”)."""
    darker, lighter = sorted((_luminance(one), _luminance(other)))
    return (lighter + 0.05) / (darker + 0.05)


def _luminance(color: str) -> float:
    """Relative luminance (WCAG 2.2)."""
    red, green, blue = (
        value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4
        for value in (int(color[at : at + 2], 16) / 255 for at in (1, 3, 5))
    )
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue
