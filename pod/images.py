"""Uploaded pictures: decoded, checked and encoded again. Pure: bytes in, bytes out.

Only the pixels are kept: no EXIF, no GPS position, no comments, no second file appended to the
first.
"""

from io import BytesIO

from PIL import Image, ImageDraw, ImageOps, UnidentifiedImageError

MAX_BYTES = 8 * 1024 * 1024
MAX_SIDE_PX = 4096
JPEG_QUALITY = 85

Stroke = list[list[float]]
SIGNATURE_SIZE_PX = (600, 240)
SIGNATURE_MARGIN_PX = 20
PEN_PX = 4
# Drawn larger and scaled down, because Pillow draws lines with jagged edges.
OVERSAMPLING = 3


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


def drawn(strokes: list[Stroke]) -> bytes:
    """Draw strokes (lists of [x, y], y downwards, any unit) as a PNG, scaled without distortion.

    Raises BadImage when the strokes have no extent, as after a single tap.
    """
    xs = [x for stroke in strokes for x, _ in stroke]
    ys = [y for stroke in strokes for _, y in stroke]
    extent = (max(xs) - min(xs), max(ys) - min(ys)) if xs else (0.0, 0.0)
    if max(extent) <= 0:
        raise BadImage("nothing_drawn", "Nothing was drawn. Please sign with your finger.")
    width, height = (side * OVERSAMPLING for side in SIGNATURE_SIZE_PX)
    margin = SIGNATURE_MARGIN_PX * OVERSAMPLING
    scale = min(
        (side - 2 * margin) / length
        for side, length in zip((width, height), extent, strict=True)
        if length > 0
    )
    left = (width - extent[0] * scale) / 2
    top = (height - extent[1] * scale) / 2
    image = Image.new("L", (width, height), "white")
    pen = ImageDraw.Draw(image)
    radius = PEN_PX * OVERSAMPLING / 2
    for stroke in strokes:
        points = [(left + (x - min(xs)) * scale, top + (y - min(ys)) * scale) for x, y in stroke]
        pen.line(points, fill="black", width=PEN_PX * OVERSAMPLING, joint="curve")
        for x, y in (points[0], points[-1]):
            pen.ellipse((x - radius, y - radius, x + radius, y + radius), fill="black")
    return _encoded(image.resize(SIGNATURE_SIZE_PX, Image.Resampling.LANCZOS), "PNG")


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
