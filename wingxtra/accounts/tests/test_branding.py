"""A merchant's logo and color: small, clean, and readable."""

from io import BytesIO

import pytest
from django.core.exceptions import ValidationError
from django.core.files.uploadedfile import SimpleUploadedFile
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from wingxtra.accounts import branding
from wingxtra.accounts.admin import MerchantForm


def picture(size: tuple[int, int], kind: str = "PNG") -> SimpleUploadedFile:
    data = BytesIO()
    Image.new("RGB", size, "#0a6b5e").save(data, kind)
    return SimpleUploadedFile("logo", data.getvalue())


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP"])
def test_a_logo_becomes_a_small_png_with_a_new_name(kind: str) -> None:
    logo = branding.as_logo(picture((1200, 600), kind))

    assert logo.name is not None
    assert logo.name.endswith(".png")
    assert "logo" not in logo.name
    with Image.open(logo) as made:
        assert (made.format, made.size) == ("PNG", (192, 96))


@pytest.mark.parametrize("data", [b"", b"<svg onload=alert(1)>", b"\x89PNG\r\n\x1a\n" + b"x" * 50])
def test_a_file_that_is_not_a_picture_is_refused(data: bytes) -> None:
    with pytest.raises(ValidationError) as refused:
        branding.as_logo(SimpleUploadedFile("logo.png", data))
    assert refused.value.code == "not_an_image"


def test_a_logo_that_is_too_large_is_refused() -> None:
    with pytest.raises(ValidationError) as refused:
        branding.as_logo(SimpleUploadedFile("logo.png", b"x" * (branding.LOGO_MAX_BYTES + 1)))
    assert refused.value.code == "too_large"


@given(red=st.integers(0, 255), green=st.integers(0, 255), blue=st.integers(0, 255))
def test_text_on_any_color_is_readable(red: int, green: int, blue: int) -> None:
    color = f"#{red:02x}{green:02x}{blue:02x}"

    assert branding.contrast(branding.ink_on(color), color) >= 4.5


def test_contrast_matches_the_guidelines() -> None:
    assert branding.contrast("#000000", "#ffffff") == pytest.approx(21)
    assert branding.contrast("#777777", "#ffffff") == pytest.approx(4.48, abs=0.01)


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("color", "fine"),
    [("", True), ("#0a6b5e", True), ("red", False), ("#0a6b5e;}", False), ("#0a6b5e\n", True)],
)
def test_only_hexadecimal_colors_are_valid(color: str, fine: bool) -> None:
    form = MerchantForm({"name": "Shop", "brand_color": color, "active": "on"})

    assert form.is_valid() == fine
