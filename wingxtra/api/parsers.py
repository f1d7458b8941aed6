"""Request bodies: strict JSON (RFC 8259, RFC 7493) with a size limit."""

import json
import math
import re
from collections.abc import Mapping
from contextlib import suppress
from io import BytesIO
from typing import IO, Any, NoReturn

import msgspec
from django.conf import settings
from django.http import HttpRequest
from rest_framework.exceptions import APIException, ParseError
from rest_framework.parsers import BaseParser

MAX_DEPTH = 32
# Members of all objects of a body together. The largest call that we know has 60.
MAX_MEMBERS = 1000
# Objects, lists and the entries of both, together: what costs time to read.
MAX_VALUES = 5000
NAME_SHOWN = 80


class BodyTooLarge(APIException):
    status_code = 413
    default_code = "body_too_large"


class StrictJsonParser(BaseParser):
    """Refuses what lenient parsers accept: NaN, Infinity, numbers too large for a double, a name
    given twice, half a surrogate pair, and a top level that is not an object.
    """

    media_type = "application/json"

    def parse(
        self,
        stream: IO[bytes],
        media_type: str | None = None,
        parser_context: Mapping[str, Any] | None = None,
    ) -> dict[str, Any]:
        view = (parser_context or {}).get("view")
        return decode(stream.read(), max_values=getattr(view, "max_values", MAX_VALUES))


def decode(
    body: bytes, *, max_members: int = MAX_MEMBERS, max_values: int = MAX_VALUES
) -> dict[str, Any]:
    """The object in `body`. Raises ParseError with what is wrong and where.

    Counts before it reads: reading takes 100 times as long as counting.
    """
    try:
        text = body.decode("utf-8")
    except UnicodeDecodeError as error:
        raise ParseError(f"The body is not UTF-8: see byte {error.start}.") from error
    marks = _marks(body, max_members, max_values)
    data = _read(text, has_one_member=marks.count(b":") == 1)
    if not isinstance(data, dict):
        raise ParseError("The body must be a JSON object: {…}.")
    if _deeper_than(marks, MAX_DEPTH):
        raise ParseError(_TOO_DEEP)
    return data


def _read(text: str, *, has_one_member: bool) -> Any:
    try:
        if has_one_member:  # no name can be there twice, so the faster reader finds the same
            with suppress(msgspec.DecodeError):
                return msgspec.json.decode(text)
        data = json.loads(
            text,
            object_pairs_hook=_object,
            parse_constant=_not_a_number,
            parse_float=_number,
        )
        if "\\u" in text:
            json.dumps(data, ensure_ascii=False).encode("utf-8")
    except json.JSONDecodeError as error:
        raise ParseError(
            f"The body is not JSON: {error.msg} (line {error.lineno}, column {error.colno})."
        ) from error
    except UnicodeEncodeError as error:
        raise ParseError("The body has half a surrogate pair in a string.") from error
    except RecursionError as error:
        raise ParseError(_TOO_DEEP) from error
    except ValueError as error:  # Python refuses an integer with thousands of digits
        raise ParseError("The body has a number that is too large.") from error
    return data


_TOO_DEEP = f"The body is nested deeper than {MAX_DEPTH} levels."


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        seen: set[str] = set()
        twice = next(name for name, _ in pairs if name in seen or seen.add(name))  # type: ignore[func-returns-value]
        raise ParseError(f"The body names “{twice[:NAME_SHOWN]}” twice.")
    return found


def _not_a_number(word: str) -> NoReturn:
    raise ParseError(f"The body has {word}, which is not JSON.")


def _number(digits: str) -> float:
    value = float(digits)
    if math.isinf(value):
        raise ParseError(f"The body has a number that is too large: {digits[:40]}.")
    return value


# Possessive: a text of a million escapes is matched in one go, without a way back.
_STRING = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"', re.DOTALL)
_ALL_BUT_MARKS = bytes(set(range(256)) - set(b"[]{}:,"))


def _marks(body: bytes, max_members: int, max_values: int) -> bytes:
    """The brackets, colons and commas outside of texts. Raises ParseError when there are too many:
    a member has a colon, and each value but the first a comma or a bracket before it.
    """
    marks = _STRING.sub(b"", body).translate(None, _ALL_BUT_MARKS)
    if (members := marks.count(b":")) > max_members:
        raise ParseError(f"The body has {members:,} members; at most {max_members:,} are accepted.")
    if (values := sum(map(marks.count, (b",", b"[", b"{")))) > max_values:
        raise ParseError(f"The body has {values:,} values; at most {max_values:,} are accepted.")
    return marks


def _deeper_than(marks: bytes, levels: int) -> bool:
    """For valid JSON. Each turn removes the innermost lists and objects, so one level less."""
    brackets = marks.translate(bytes.maketrans(b"{}", b"[]"), b":,")
    for _ in range(levels):
        if not brackets:
            return False
        brackets = brackets.replace(b"[]", b"")
    return brackets != b""


def bound_body(request: HttpRequest, max_bytes: int | None = None) -> None:
    """Refuse a body over `max_bytes` (API_MAX_BODY_BYTES) before it is parsed.

    A chunked body declares no length, so up to `max_bytes` + 1 of it are read here. The server and
    Django cut a body at its Content-Length.
    """
    limit: int = settings.API_MAX_BODY_BYTES if max_bytes is None else max_bytes
    if "chunked" in request.META.get("HTTP_TRANSFER_ENCODING", "").lower():
        body = request.META["wsgi.input"].read(limit + 1)
        request._body = body
        request._stream = BytesIO(body)
        size = len(body)
        request.META["CONTENT_LENGTH"] = str(size)
    else:
        declared = request.META.get("CONTENT_LENGTH") or "0"
        size = int(declared) if declared.isdecimal() and declared.isascii() else 0
    if size > limit:
        raise BodyTooLarge(f"The body is larger than {limit:,} bytes.")
