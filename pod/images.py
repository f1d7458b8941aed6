"""Uploaded pictures: decoded, checked and encoded again. Pure: bytes in, bytes out.

Only the pixels are kept: no EXIF, no GPS position, no comments, no second file appended to the
first.
"""

import math
from io import BytesIO

from PIL import Image, ImageDraw, ImageOps, UnidentifiedImageError

MAX_BYTES = 8 * 1024 * 1024
MAX_SIDE_PX = 4096
JPEG_QUALITY = 85

Stroke = list[list[float]]
Point = tuple[float, float]
SIGNATURE_SIZE_PX = (600, 240)
SIGNATURE_MARGIN_PX = 20
PEN_PX = 4
# Drawn larger and scaled down, because Pillow draws lines with jagged edges.
OVERSAMPLING = 3
# Long lines across the whole paper cost the most: 400 take about 25 ms.
MAX_DRAWN_POINTS, MIN_BETWEEN_ENDS = 400, 100


class BadImage(ValueError):
    """The picture is refused. `code` is stable; the message says what to do."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


def photo(data: bytes) -> bytes:
    """Convert a JPEG, PNG or WebP photo to an upright JPEG. Raises BadImage."""
    return _encoded(_decoded(data, ["JPEG", "PNG", "WEBP"]), "JPEG")


def signature(data: bytes) -> bytes:
    """Convert an uploaded PNG of a signature to a PNG on white. Raises BadImage."""
    return _encoded(_decoded(data, ["PNG"]), "PNG")


def refuse_empty(strokes: list[Stroke]) -> None:
    """Raises BadImage when the strokes have no extent, as after a single tap."""
    if len({(x, y) for stroke in strokes for x, y in stroke}) < 2:
        raise BadImage("nothing_drawn", "Nothing was drawn. Please sign with your finger.")


def drawn(strokes: list[Stroke]) -> bytes:
    """Draw strokes (lists of [x, y], y downwards, any unit) as a PNG, scaled without distortion.

    Takes at most 50 ms of processor time for up to 200 strokes: the points are thinned first.
    Raises BadImage when the strokes have no extent.
    """
    refuse_empty(strokes)
    size = (SIGNATURE_SIZE_PX[0] * OVERSAMPLING, SIGNATURE_SIZE_PX[1] * OVERSAMPLING)
    image = Image.new("L", size, "white")
    pen = ImageDraw.Draw(image)
    radius = PEN_PX * OVERSAMPLING / 2
    for points in _thinned(_on_paper(strokes, size)):
        pen.line(points, fill="black", width=PEN_PX * OVERSAMPLING, joint="curve")
        for x, y in (points[0], points[-1]):
            pen.ellipse((x - radius, y - radius, x + radius, y + radius), fill="black")
    out = BytesIO()
    image.reduce(OVERSAMPLING).save(out, "PNG")
    return out.getvalue()


def _on_paper(strokes: list[Stroke], size: tuple[int, int]) -> list[list[Point]]:
    """The strokes in the middle of a paper of this size, as large as its margin allows."""
    xs = [x for stroke in strokes for x, _ in stroke]
    ys = [y for stroke in strokes for _, y in stroke]
    left, top = min(xs), min(ys)
    extent = (max(xs) - left, max(ys) - top)
    margin = SIGNATURE_MARGIN_PX * OVERSAMPLING
    scale = min(
        (side - 2 * margin) / length
        for side, length in zip(size, extent, strict=True)
        if length > 0
    )
    at_x, at_y = ((side - e * scale) / 2 for side, e in zip(size, extent, strict=True))
    return [[(at_x + (x - left) * scale, at_y + (y - top) * scale) for x, y in s] for s in strokes]


def _thinned(strokes: list[list[Point]]) -> list[list[Point]]:
    """Without points that a pen of this width hides, and about MAX_DRAWN_POINTS in all.

    The ends of each stroke stay, and MIN_BETWEEN_ENDS points between all ends.
    """
    apart = [_apart(stroke) for stroke in strokes]
    between = max(MIN_BETWEEN_ENDS, MAX_DRAWN_POINTS - 2 * len(apart))
    every = math.ceil(sum(map(len, apart)) / between)
    return [[*points[:-1:every], points[-1]] for points in apart]


def _apart(points: list[Point]) -> list[Point]:
    kept = [points[0]]
    for point in points[1:-1]:
        if math.dist(kept[-1], point) >= PEN_PX * OVERSAMPLING / 3:
            kept.append(point)
    return [*kept, points[-1]]


def _decoded(data: bytes, formats: list[str]) -> Image.Image:
    """The upright image. Checks the size in the header before decoding. Raises BadImage."""
    names = " or ".join(formats)
    if len(data) > MAX_BYTES:
        raise BadImage(
            "file_too_large",
            f"The picture has {len(data) / 2**20:.1f} MB; at most {MAX_BYTES // 2**20} MB are "
            "accepted.",
        )
    try:
        image = Image.open(BytesIO(data), formats=formats)
        if max(image.size) > MAX_SIDE_PX:
            raise BadImage(
                "image_too_large",
                f"The picture is {image.width} x {image.height} pixels; "
                f"at most {MAX_SIDE_PX} on a side are accepted. Send a smaller one.",
            )
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


def _encoded(image: Image.Image, kind: str) -> bytes:
    """Encode on a new white canvas, without transparency and metadata."""
    canvas = Image.new("RGB", image.size, "white")
    if image.has_transparency_data:
        layer = image.convert("RGBA")
        canvas.paste(layer, mask=layer.getchannel("A"))
    else:
        canvas.paste(image.convert("RGB"))
    out = BytesIO()
    canvas.save(out, kind, quality=JPEG_QUALITY, optimize=True)
    return out.getvalue()
