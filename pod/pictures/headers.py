"""What the first bytes of a picture say: its format and size. Nothing is unpacked.

Pillow unpacks texts and colour profiles of a PNG when it opens it: thousands of them, 1 kB each,
take seconds. So a stranger's file is only read here before their call is answered.
"""

import struct
from collections.abc import Callable

PNG_START = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR"
# Segments before the size of a JPEG. Cameras write fewer than 100.
MAX_SEGMENTS = 1000
# Starts of a frame (ITU-T T.81, table B.1): C0 to CF without C4, C8 and CC, which are tables.
FRAMES = {*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}

Size = tuple[int, int]


class NoPicture(ValueError):
    """The file starts like none of the formats, or breaks off."""


def size_px(start: bytes) -> Size:
    """Width and height of a JPEG, PNG or WebP as its header says. Raises NoPicture.

    A header can lie: the decoder checks again.
    """
    for is_one, size_of in _FORMATS:
        if is_one(start):
            try:
                return size_of(start)
            except (struct.error, IndexError) as error:
                raise NoPicture from error
    raise NoPicture


def _png(start: bytes) -> Size:
    width, height = struct.unpack_from(">II", start, 16)
    return width, height


def _jpeg(start: bytes) -> Size:
    at = 2
    for _ in range(MAX_SEGMENTS):
        while start[at] == 0xFF and start[at + 1] == 0xFF:  # fill bytes
            at += 1
        mark, marker, length = struct.unpack_from(">BBH", start, at)
        if mark != 0xFF or length < 2:
            raise NoPicture
        if marker in FRAMES:
            height, width = struct.unpack_from(">HH", start, at + 5)
            return width, height
        at += 2 + length
    raise NoPicture


def _webp(start: bytes) -> Size:
    kind = start[12:16]
    if kind == b"VP8X":
        width, height = (int.from_bytes(start[at : at + 3], "little") + 1 for at in (24, 27))
    elif kind == b"VP8L":
        (bits,) = struct.unpack_from("<I", start, 21)
        width, height = (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    elif kind == b"VP8 ":
        width, height = (side & 0x3FFF for side in struct.unpack_from("<HH", start, 26))
    else:
        raise NoPicture
    return width, height


_FORMATS: list[tuple[Callable[[bytes], bool], Callable[[bytes], Size]]] = [
    (lambda start: start.startswith(b"\xff\xd8\xff"), _jpeg),
    (lambda start: start.startswith(PNG_START), _png),
    (lambda start: start[:4] == b"RIFF" and start[8:12] == b"WEBP", _webp),
]
