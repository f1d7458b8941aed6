"""Files of occurrences: which are taken, and how they are stored and served.

Pure but for the storage. A file is known by its first bytes, never by the name or type that the
browser sends.
"""

import hashlib
import re
import uuid
from dataclasses import dataclass

from django.core.files.base import ContentFile
from django.core.files.storage import default_storage

from wingxtra.problems import FieldProblem, Invalid

MAX_BYTES = 10 * 1024 * 1024
MAX_FILES = 20
MAX_NAME = 120
TAKEN = "JPEG, PNG or WebP pictures, PDF, and plain text (UTF-8)"
# First bytes -> content type and ending.
SIGNATURES = (
    (rb"\xff\xd8\xff", "image/jpeg", "jpg"),
    (rb"\x89PNG\r\n\x1a\n", "image/png", "png"),
    (rb"RIFF....WEBP", "image/webp", "webp"),
    (rb"%PDF-", "application/pdf", "pdf"),
)
# Never shown by a browser in our origin.
SAFE_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": "default-src 'none'; sandbox",
    "Cache-Control": "private, no-store",
    "Referrer-Policy": "no-referrer",
}


@dataclass(frozen=True, slots=True)
class Attachment:
    name: str
    content_type: str
    ending: str
    content: bytes

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.content).hexdigest()


def read(name: str, content: bytes, size_bytes: int) -> Attachment:
    """`content`: at least the first MAX_BYTES; `size_bytes`: of the whole file. Raises Invalid."""
    if size_bytes > MAX_BYTES:
        raise _refused(
            "file_too_large",
            f"“{name[:60]}” has {size_bytes / 2**20:.1f} MB; at most {MAX_BYTES // 2**20} MB are "
            "taken. Send a smaller picture, or only the pages that matter.",
        )
    if not content:
        raise _refused("file_empty", f"“{name[:60]}” is empty.")
    content_type, ending = _kind(name, content)
    return Attachment(_clean(name, ending), content_type, ending, content)


def store(attachment: Attachment) -> str:
    """Its name in the storage: random, so that nothing of the upload is in an address."""
    name = f"occurrences/{uuid.uuid4()}.{attachment.ending}"
    return default_storage.save(name, ContentFile(attachment.content))


def discard(stored_as: str) -> None:
    """Deleting a missing file is no error."""
    if stored_as:
        default_storage.delete(stored_as)


def _kind(name: str, content: bytes) -> tuple[str, str]:
    for pattern, content_type, ending in SIGNATURES:
        if re.match(pattern, content, re.DOTALL):
            return content_type, ending
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError as error:
        raise _refused("file_type", f"“{name[:60]}” is not taken: only {TAKEN}.") from error
    if not all(char.isprintable() or char in "\r\n\t\ufeff" for char in text):
        raise _refused("file_type", f"“{name[:60]}” is not taken: only {TAKEN}.")
    return "text/plain; charset=utf-8", "txt"


def _clean(name: str, ending: str) -> str:
    """The name without path and control characters, with the ending of what the file is."""
    base = re.split(r"[/\\]", name)[-1].rpartition(".")[0] or re.split(r"[/\\]", name)[-1]
    kept = re.sub(r"[^\w .()-]", "_", base).strip(" .")
    return f"{kept[: MAX_NAME - 6] or 'file'}.{ending}"


def _refused(code: str, message: str) -> Invalid:
    return Invalid([FieldProblem("file", code, message)])
