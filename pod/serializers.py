"""Input and output of the API for proofs."""

import json
from typing import Annotated, Any
from urllib.parse import urlsplit

import msgspec
from django.conf import settings
from django.core.files.uploadedfile import UploadedFile
from django.urls import reverse
from drf_spectacular.utils import extend_schema_field, extend_schema_serializer
from rest_framework import serializers

from orders.states import PodRequirement
from pod import proofs
from pod.models import Case, ProofOfDelivery, proof_methods
from pod.pictures import images
from wingxtra.api.serializers import StrictSerializer, Text, Timestamp
from wingxtra.problems import FieldProblem, Invalid

MAX_STROKES = 200
MAX_POINTS = 10_000
MAX_COORDINATE = 100_000
# The largest body with a signature of MAX_POINTS.
SIGNATURE_MAX_BYTES = 256 * 1024
# Lists and numbers of such a body, with some more, so that a few points too many are named as such.
SIGNATURE_MAX_VALUES = 4 * MAX_POINTS
MAX_METADATA_CHARACTERS = 4_000

Coordinate = Annotated[float, msgspec.Meta(ge=-MAX_COORDINATE, le=MAX_COORDINATE)]
Stroke = Annotated[list[tuple[Coordinate, Coordinate]], msgspec.Meta(min_length=1)]

POINT = {"type": "array", "items": {"type": "number"}, "minItems": 2, "maxItems": 2}
STROKES = {"type": "array", "items": {"type": "array", "items": POINT}, "maxItems": MAX_STROKES}


@extend_schema_field(STROKES)
class Strokes(serializers.Field[Any, Any, Any, Any]):
    """A drawn signature: a list of strokes, each a list of [x, y] points, y downwards, any unit."""

    default_error_messages = {
        "invalid": "Must be a list of strokes, each a list of points [x, y] of two numbers.",
        "too_long": f"Must have at most {MAX_STROKES} strokes and {MAX_POINTS} points.",
    }

    def to_internal_value(self, data: Any) -> list[images.Stroke]:
        if not isinstance(data, list) or not all(isinstance(stroke, list) for stroke in data):
            self.fail("invalid")
        if len(data) > MAX_STROKES or sum(map(len, data)) > MAX_POINTS:
            self.fail("too_long")
        try:
            msgspec.convert(data, type=Annotated[list[Stroke], msgspec.Meta(min_length=1)])
        except (msgspec.ValidationError, OverflowError):
            self.fail("invalid")
        return data


@extend_schema_field({"oneOf": [STROKES, {"type": "string", "format": "binary"}]})
class FileOrStrokes(Strokes):
    """Strokes, or an uploaded PNG."""

    def to_internal_value(self, data: Any) -> Any:
        return data if isinstance(data, UploadedFile) else super().to_internal_value(data)


@extend_schema_field({"type": "object"})
class Metadata(serializers.Field[Any, Any, Any, Any]):
    """A JSON object; in a form, its text."""

    default_error_messages = {
        "invalid": "Must be a JSON object without NUL characters.",
        "too_long": f"Must have at most {MAX_METADATA_CHARACTERS} characters.",
    }

    def to_internal_value(self, data: Any) -> dict[str, Any]:
        if isinstance(data, str):
            try:
                data = json.loads(data)
            except (ValueError, RecursionError):
                self.fail("invalid")
        text = json.dumps(data)
        if not isinstance(data, dict) or "\\u0000" in text or "NaN" in text or "Infinity" in text:
            self.fail("invalid")
        if len(text) > MAX_METADATA_CHARACTERS:
            self.fail("too_long")
        return data


class HttpsUrl(serializers.URLField):
    default_error_messages = {"not_https": "Must be an https address without a password in it."}

    def to_internal_value(self, data: Any) -> str:
        if not isinstance(data, str):
            self.fail("invalid")
        return super().to_internal_value(data)

    def run_validation(self, data: Any = serializers.empty) -> Any:
        url = super().run_validation(data)
        if url and (urlsplit(url).scheme != "https" or urlsplit(url).username is not None):
            self.fail("not_https")
        return url


def _optional(field: type[serializers.Field[Any, Any, Any, Any]], **options: Any) -> Any:
    return field(required=False, allow_null=True, **options)


class ProofInput(StrictSerializer):
    """`POST /orders/{id}/pod`. Each method takes its own evidence and refuses the others'."""

    method = serializers.ChoiceField(choices=proof_methods())
    otp_code = _optional(Text, allow_blank=True, max_length=20)
    photo = _optional(serializers.FileField, allow_empty_file=True)
    photo_url = _optional(HttpsUrl, allow_blank=True, max_length=500)
    signature = _optional(FileOrStrokes)
    operator_name = _optional(Text, allow_blank=True, max_length=120)
    confirmed_by = _optional(Text, allow_blank=True, max_length=120, help_text="operator_name.")
    note = _optional(Text, allow_blank=True, max_length=500)
    metadata = _optional(Metadata)

    EVIDENCE = {
        PodRequirement.OTP: ("otp_code",),
        PodRequirement.PHOTO: ("photo", "photo_url"),
        PodRequirement.SIGNATURE: ("signature",),
        PodRequirement.OPERATOR_CONFIRM: ("operator_name", "confirmed_by"),
    }

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        method = attrs["method"]
        own = self.EVIDENCE[method]
        given = [name for name in own if attrs.get(name)]
        errors: dict[str, Any] = {}
        if not given:
            message = f"The method {method} needs {' or '.join(own)}."
            errors[own[0]] = [serializers.ErrorDetail(message, code="required")]
        if len({str(attrs[name]) for name in given}) > 1:
            message = f"Give {' or '.join(own)}, not both."
            errors[own[1]] = [serializers.ErrorDetail(message, code="ambiguous")]
        # The name of the confirming person is allowed with every method.
        for name in ("otp_code", "photo", "photo_url", "signature"):
            if name not in own and attrs.get(name):
                message = f"Is not evidence for the method {method}."
                errors[name] = [serializers.ErrorDetail(message, code="not_for_this_method")]
        if errors:
            raise serializers.ValidationError(errors)
        return attrs


@extend_schema_serializer(component_name="Proof")
class ProofAnswer(serializers.Serializer[ProofOfDelivery]):
    """The proof; everything but `order_id` is null while there is none."""

    order_id = serializers.UUIDField(help_text="The order that it proves.")
    method = serializers.ChoiceField(
        choices=proof_methods(), allow_null=True, help_text="How it was received."
    )
    confirmed_by = serializers.CharField(
        allow_null=True, help_text="The name of the person who confirmed it, if it was one."
    )
    photo_url = serializers.URLField(
        allow_null=True,
        help_text="The photo or the signature; a link of ours works for five minutes.",
    )
    created_at = Timestamp(allow_null=True, help_text="When it was recorded.")


class CodeInput(StrictSerializer):
    """`POST /tracking/{id}/otp`."""

    otp_code = Text(max_length=20, help_text="The six digits; spaces and hyphens are ignored.")


class SignatureInput(StrictSerializer):
    """`POST /tracking/{id}/signature`."""

    signature = Strokes(
        help_text="Strokes, each a list of [x, y] points, y downwards, in any unit."
    )


class CaseInput(StrictSerializer):
    """A customer's problem after the delivery; the photo comes beside it."""

    kind = serializers.ChoiceField(choices=Case.Kind.choices)
    text = Text(max_length=500, allow_blank=True)


def evidence(data: dict[str, Any]) -> proofs.Evidence:
    """The evidence in the data of a valid ProofInput. Raises Invalid for bad pictures."""
    details = _details_of(data)
    method = data["method"]
    if method == PodRequirement.OTP:
        return proofs.Evidence.code(data["otp_code"], **details)
    if method == PodRequirement.OPERATOR_CONFIRM:
        return proofs.Evidence.confirmation(details.pop("confirmed_by"), **details)
    if method == PodRequirement.PHOTO and data.get("photo_url"):
        return proofs.Evidence.linked_photo(data["photo_url"], **details)
    name = method.lower()
    try:
        if method == PodRequirement.PHOTO:
            return proofs.Evidence.photo(data[name].read(), **details)
        return signature_evidence(data[name], **details)
    except images.BadImage as error:
        raise Invalid([FieldProblem(name, error.code, str(error))]) from error


def signature_evidence(signature: Any, **details: Any) -> proofs.Evidence:
    """An uploaded file or strokes. Raises images.BadImage."""
    if isinstance(signature, list):
        return proofs.Evidence.drawn_signature(signature, **details)
    return proofs.Evidence.signature(signature.read(), **details)


class _Signed(msgspec.Struct, forbid_unknown_fields=True):
    signature: Annotated[list[Stroke], msgspec.Meta(min_length=1, max_length=MAX_STROKES)]


_SIGNED = msgspec.json.Decoder(_Signed)


def read_signature(body: bytes) -> proofs.Evidence | None:
    """The evidence in the JSON of a SignatureInput, read and checked in one pass, which is a third
    of what parser and serializer take for 20,000 numbers.

    None for a body that is not valid: then SignatureInput says what is wrong with it. Raises
    images.BadImage.
    """
    # Without texts each bracket opens a list, and with one colon no name can be there twice.
    if body.count(b":") != 1 or body.count(b"[") > 1 + MAX_STROKES + MAX_POINTS:
        return None
    try:
        strokes = _SIGNED.decode(body).signature
    except (msgspec.DecodeError, UnicodeDecodeError, OverflowError):
        return None
    if sum(map(len, strokes)) > MAX_POINTS:
        return None
    return proofs.Evidence.drawn_signature(strokes)  # type: ignore[arg-type]


def _details_of(data: dict[str, Any]) -> dict[str, Any]:
    """The fields that are allowed with any evidence."""
    return {
        "confirmed_by": data.get("operator_name") or data.get("confirmed_by") or "",
        "note": data.get("note") or "",
        "metadata": data.get("metadata") or {},
    }


def proof_json(proof: ProofOfDelivery) -> dict[str, Any]:
    """The proof as ProofAnswer, with a new link to its picture."""
    url = proof.photo_url or None
    if proof.has_picture:
        path = reverse("pod-image", args=[proofs.image_token(proof)])
        url = f"{settings.PUBLIC_BASE_URL}{path}"
    answer = {
        "order_id": proof.order_id,
        "method": proof.method,
        "confirmed_by": proof.confirmed_by or None,
        "photo_url": url,
        "created_at": proof.created_at,
    }
    return dict(ProofAnswer(answer).data)  # type: ignore[arg-type]
