"""Pictures. Uploads: decoded, checked and encoded again. Signatures by finger: drawn as SVG.

Pure: bytes in, bytes out. Only the pixels of an upload are kept: no EXIF, no GPS position, no
comments, no second file appended to the first.
"""

from io import BytesIO
from itertools import chain

import msgspec
from PIL import Image, ImageOps, UnidentifiedImageError

from pod.pictures import headers as picture_headers

MAX_BYTES = 8 * 1024 * 1024
# A photo of a stranger, which is read before their call is answered.
STRANGERS_MAX_BYTES = 4 * 1024 * 1024
MAX_SIDE_PX = 4096
# A larger picture is kept smaller: encoding 16 million pixels takes a third of a second.
KEPT_SIDE_PX = 2048
JPEG_QUALITY = 85

PHOTOS = ["JPEG", "PNG", "WEBP"]
# A PNG has one at most. Each is unpacked when it is opened, to 1 MB from 1 kB.
MAX_COLOUR_PROFILES = 4

Stroke = list[list[float]]
SIGNATURE_SIZE_PX = (600, 240)
SIGNATURE_MARGIN_PX = 20
PEN_PX = 4


class BadImage(ValueError):
    """The picture is refused. `code` is stable; the message says what to do."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


def refuse_by_header(data: bytes) -> None:
    """Refuse what is no JPEG, PNG or WebP, or has too many pixels, without decoding it. `photo`
    may still find that it is damaged. Raises BadImage.
    """
    _refuse_too_long(data, STRANGERS_MAX_BYTES)
    try:
        _refuse_too_large(picture_headers.size_px(data))
    except picture_headers.NoPicture as error:
        raise BadImage("not_an_image", f"This file is not a {_any_of(PHOTOS)} picture.") from error


def photo(data: bytes) -> bytes:
    """Convert a JPEG, PNG or WebP photo to an upright JPEG. Raises BadImage."""
    return _encoded(_decoded(data, PHOTOS), "JPEG")


def signature(data: bytes) -> bytes:
    """Convert an uploaded PNG of a signature to a PNG on white. Raises BadImage."""
    return _encoded(_decoded(data, ["PNG"]), "PNG")


def refuse_empty(strokes: list[Stroke]) -> None:
    """Raises BadImage when the strokes have no extent, as after a single tap."""
    first = strokes[0][0]
    if not any(point != first for stroke in strokes for point in stroke):
        raise BadImage("nothing_drawn", "Nothing was drawn. Please sign with your finger.")


def drawn(strokes: list[Stroke]) -> bytes:
    """Strokes (lists of [x, y], y downwards, any unit) as an SVG picture of SIGNATURE_SIZE_PX,
    scaled without distortion. They must have an extent: see `refuse_empty`.

    The JSON of the numbers becomes the text of the lines, which takes 2 ms for 10,000 points.
    """
    xs, ys = zip(*chain.from_iterable(strokes), strict=True)
    left, top = min(xs), min(ys)
    extent = (max(xs) - left, max(ys) - top)
    width_px, height_px = SIGNATURE_SIZE_PX
    # The unit of the strokes per pixel.
    unit = max(
        length / (side - 2 * SIGNATURE_MARGIN_PX)
        for side, length in zip(SIGNATURE_SIZE_PX, extent, strict=True)
    )
    width, height = width_px * unit, height_px * unit
    x, y = left - (width - extent[0]) / 2, top - (height - extent[1]) / 2
    paper = f'x="{x}" y="{y}" width="{width}" height="{height}"'
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width_px}" height="{height_px}" '
        f'viewBox="{x} {y} {width} {height}"><rect {paper} fill="white"/>'
        f'<g fill="none" stroke="black" stroke-width="{PEN_PX * unit}" stroke-linecap="round" '
        f'stroke-linejoin="round">{_lines(strokes)}</g></svg>'
    ).encode()


def _lines(strokes: list[Stroke]) -> str:
    # A tap is a line without a length; its round ends make it a dot.
    lines = [stroke if len(stroke) > 1 else stroke * 2 for stroke in strokes]
    points = msgspec.json.encode(lines).decode()[3:-3]  # without the outer [[[ and ]]]
    points = points.replace("]],[[", '"/><polyline points="').replace("],[", " ")
    return f'<polyline points="{points}"/>'


def _decoded(data: bytes, formats: list[str]) -> Image.Image:
    """The upright image, at most KEPT_SIDE_PX on a side. Checks the size in the header before
    decoding. Raises BadImage.
    """
    names = _any_of(formats)
    _refuse_too_long(data, MAX_BYTES)
    if data.count(b"iCCP") > MAX_COLOUR_PROFILES:
        raise BadImage("damaged_image", f"This {names} picture has many colour profiles.")
    try:
        image = Image.open(BytesIO(data), formats=formats)
        _refuse_too_large(image.size)
        image.thumbnail((KEPT_SIDE_PX, KEPT_SIDE_PX), Image.Resampling.BOX, reducing_gap=1.0)
        image.load()
        return ImageOps.exif_transpose(image)
    except UnidentifiedImageError as error:
        raise BadImage("not_an_image", f"This file is not a {names} picture.") from error
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise BadImage(
            "image_too_large",
            f"The picture is far too large; at most {MAX_SIDE_PX} pixels on a side are accepted.",
        ) from error
    except BadImage:
        raise
    except (OSError, SyntaxError, ValueError, EOFError) as error:
        # Pillow's decoders raise these for truncated or inconsistent files.
        raise BadImage("damaged_image", f"This {names} picture is damaged.") from error


def _any_of(formats: list[str]) -> str:
    return " or ".join(formats)


def _refuse_too_long(data: bytes, max_bytes: int) -> None:
    if len(data) > max_bytes:
        raise BadImage(
            "file_too_large",
            f"The picture has {len(data) / 2**20:.1f} MB; at most {max_bytes // 2**20} MB are "
            "accepted.",
        )


def _refuse_too_large(size_px: tuple[int, int]) -> None:
    if max(size_px) > MAX_SIDE_PX:
        width, height = size_px
        raise BadImage(
            "image_too_large",
            f"The picture is {width} x {height} pixels; "
            f"at most {MAX_SIDE_PX} on a side are accepted. Send a smaller one.",
        )


def _encoded(image: Image.Image, kind: str) -> bytes:
    """Encode on a new white canvas, without transparency and metadata."""
    canvas = Image.new("RGB", image.size, "white")
    if image.has_transparency_data:
        layer = image.convert("RGBA")
        canvas.paste(layer, mask=layer.getchannel("A"))
    else:
        canvas.paste(image.convert("RGB"))
    out = BytesIO()
    canvas.save(out, kind, quality=JPEG_QUALITY)
    return out.getvalue()
