"""Uploaded pictures: decoded, turned upright, encoded again, or refused."""

import struct
import zlib
from io import BytesIO
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, PngImagePlugin

from pod.pictures import headers as picture_headers
from pod.pictures import images

EXIF_ORIENTATION = 0x0112
EXIF_MAKER = 0x010F


def encoded(image: Image.Image, kind: str = "JPEG", **options: object) -> bytes:
    out = BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()


def opened(data: bytes) -> Image.Image:
    return Image.open(BytesIO(data))


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_a_photo_of_each_kind_becomes_a_jpeg_of_the_same_size(kind: str) -> None:
    taken = opened(images.photo(encoded(Image.new("RGB", (64, 48), "teal"), kind)))

    assert (taken.format, taken.size, taken.mode) == ("JPEG", (64, 48), "RGB")


def test_a_photo_is_turned_upright_and_loses_its_exif() -> None:
    exif = Image.Exif()
    exif[EXIF_ORIENTATION] = 6  # the camera was held on its side
    exif[EXIF_MAKER] = "SecretPhone"
    exif.get_ifd(0x8825)[2] = (5.0, 36.0, 13.0)  # GPS latitude
    sideways = encoded(Image.new("RGB", (80, 40)), exif=exif, comment=b"SecretComment")

    data = images.photo(sideways)

    assert opened(data).size == (40, 80)
    assert not opened(data).getexif()
    assert b"Exif" not in data
    assert b"Secret" not in data


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_a_large_photo_is_kept_smaller_and_upright(kind: str) -> None:
    exif = Image.Exif()
    exif[EXIF_ORIENTATION] = 6
    large = encoded(Image.new("RGB", (4000, 2000), "teal"), kind, exif=exif)

    assert opened(images.photo(large)).size == (1024, 2048)


def test_text_and_files_appended_to_a_picture_are_removed() -> None:
    text = PngImagePlugin.PngInfo()
    text.add_text("Comment", "SecretText")
    data = encoded(Image.new("RGB", (9, 9)), "PNG", pnginfo=text) + b"<script>Secret</script>"

    assert b"Secret" not in images.photo(data)
    assert b"Secret" not in images.signature(data)


def test_a_transparent_signature_gets_a_white_background() -> None:
    pen_on_glass = Image.new("RGBA", (30, 20), (0, 0, 0, 0))
    pen_on_glass.putpixel((15, 10), (0, 0, 0, 255))

    taken = opened(images.signature(encoded(pen_on_glass, "PNG")))

    assert (taken.format, taken.getpixel((0, 0))) == ("PNG", (255, 255, 255))
    assert taken.getpixel((15, 10)) == (0, 0, 0)


def claiming(width: int, height: int) -> bytes:
    """A few bytes of PNG whose header claims a huge picture: a decompression bomb."""
    header = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    pixels = b"IDAT" + zlib.compress(bytes(1000))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(chunk) - 4) + chunk + struct.pack(">I", zlib.crc32(chunk))
        for chunk in (header, pixels, b"IEND")
    )


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"", "not_an_image"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "not_an_image"),
        (b"%PDF-1.7 photo.jpg", "not_an_image"),
        (b"\xff\xd8\xff\xe0 not really", "damaged_image"),
        (encoded(Image.new("RGB", (9, 9)), "GIF"), "not_an_image"),
        (encoded(Image.new("RGB", (9, 9)), "BMP"), "not_an_image"),
        (encoded(Image.effect_noise((200, 200), 50))[:2000], "damaged_image"),
        (encoded(Image.new("RGB", (4097, 2))), "image_too_large"),
        (claiming(10_000, 10_000), "image_too_large"),
        (claiming(60_000, 60_000), "image_too_large"),
        (claiming(4_000, 4_000), "damaged_image"),
        (b"\xff\xd8" + bytes(images.MAX_BYTES), "file_too_large"),
    ],
)
def test_an_invalid_picture_is_refused_with_a_code(data: bytes, code: str) -> None:
    with pytest.raises(images.BadImage) as refused:
        images.photo(data)

    assert refused.value.code == code


def test_a_signature_is_a_png_and_nothing_else() -> None:
    with pytest.raises(images.BadImage, match="not a PNG"):
        images.signature(encoded(Image.new("RGB", (9, 9))))


@given(
    data=st.binary(max_size=400),
    start=st.sampled_from([b"", b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n"]),
)
def test_any_bytes_are_accepted_or_refused_without_a_crash(data: bytes, start: bytes) -> None:
    try:
        taken = images.photo(start + data)
    except images.BadImage:
        return
    assert opened(taken).format == "JPEG"


def view_box(svg: bytes) -> list[float]:
    return [float(number) for number in ElementTree.fromstring(svg).attrib["viewBox"].split()]


def test_a_drawn_signature_is_in_the_middle_of_its_paper() -> None:
    svg = images.drawn([[[0, 0], [100, 30], [200, 0]], [[40, 10], [41, 12]], [[50, 20]]])

    x, y, width, height = view_box(svg)
    assert width / height == pytest.approx(2.5)
    assert (x + width / 2, y + height / 2) == pytest.approx((100, 15))
    assert 200 / width == pytest.approx(560 / 600)  # as wide as the margins allow
    lines = ElementTree.fromstring(svg).iter("{http://www.w3.org/2000/svg}polyline")
    assert [line.attrib["points"] for line in lines] == [
        "0,0 100,30 200,0",
        "40,10 41,12",
        "50,20 50,20",  # a tap is a dot
    ]


@pytest.mark.parametrize("strokes", [[[[5, 5]]], [[[5, 5], [5, 5]], [[5, 5]]]])
def test_a_tap_is_no_signature(strokes: list[images.Stroke]) -> None:
    with pytest.raises(images.BadImage, match="Nothing was drawn"):
        images.refuse_empty(strokes)


coordinate = st.floats(-10_000, 10_000)
stroke = st.lists(st.tuples(coordinate, coordinate).map(list), min_size=1, max_size=20)


@given(strokes=st.lists(stroke, min_size=1, max_size=8))
def test_every_drawing_is_within_its_paper(strokes: list[images.Stroke]) -> None:
    points = {tuple(point) for stroke in strokes for point in stroke}
    if len(points) == 1:
        with pytest.raises(images.BadImage):
            images.refuse_empty(strokes)
        return
    images.refuse_empty(strokes)
    left, top, width, height = view_box(images.drawn(strokes))
    for x, y in points:
        assert left <= x <= left + width
        assert top <= y <= top + height


# --- headers -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("JPEG", {}),
        ("JPEG", {"progressive": True, "exif": b"Exif\0\0" + b"x" * 60_000}),
        ("PNG", {}),
        ("WEBP", {}),
        ("WEBP", {"lossless": True}),
        ("WEBP", {"exif": b"Exif\0\0"}),
    ],
)
@given(width=st.integers(1, 4097), height=st.integers(1, 50))
def test_the_header_says_the_size_that_the_decoder_finds(
    kind: str, options: dict[str, object], width: int, height: int
) -> None:
    data = encoded(Image.new("RGB", (width, height)), kind, **options)
    assert picture_headers.size_px(data) == (width, height)


@given(
    data=st.binary(max_size=100),
    start=st.sampled_from(
        [b"", b"\xff\xd8\xff", picture_headers.PNG_START, b"RIFF....WEBPVP8 ", b"RIFF....WEBPVP8X"]
    ),
)
def test_any_header_is_read_or_refused_without_a_crash(data: bytes, start: bytes) -> None:
    try:
        width, height = picture_headers.size_px(start + data)
    except picture_headers.NoPicture:
        return
    assert min(width, height) >= 0


def test_a_jpeg_of_many_segments_is_not_read_to_its_end() -> None:
    with pytest.raises(picture_headers.NoPicture):
        picture_headers.size_px(b"\xff\xd8" + b"\xff\xe1\0\2" * 1_000_000)


def test_a_png_of_many_colour_profiles_is_refused_before_they_are_unpacked() -> None:
    profile = b"iCCP" + b"p\0\0" + zlib.compress(bytes(1_000_000))
    chunk = struct.pack(">I", len(profile) - 4) + profile + struct.pack(">I", zlib.crc32(profile))
    whole = encoded(Image.new("RGB", (9, 9)), "PNG")
    with pytest.raises(images.BadImage) as refused:
        images.photo(whole[:33] + chunk * 100 + whole[33:])
    assert refused.value.code == "damaged_image"
    assert images.photo(whole[:33] + chunk + whole[33:])
