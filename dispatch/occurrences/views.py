"""Occurrences by API, to read: the list, and one with its notes and the names of its files.

What staff wrote may name people, so a reader without personal data sees none of it, as in the
console.
"""

from typing import Any
from uuid import UUID

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.generics import ListAPIView
from rest_framework.request import Request
from rest_framework.response import Response

from dispatch.models import Occurrence, OccurrenceFile, OccurrenceNote
from wingxtra.accounts.identity import STAFF_ROLES
from wingxtra.api.permissions import IsStaffOrReadOnly
from wingxtra.api.serializers import Timestamp
from wingxtra.api.views import ApiView
from wingxtra.problems import NotFound


class OccurrenceSerializer(serializers.Serializer[Occurrence]):
    id = serializers.UUIDField()
    order_id = serializers.UUIDField()
    job_id = serializers.UUIDField()
    drone_id = serializers.CharField(source="job.drone_id", allow_null=True)
    category = serializers.ChoiceField(Occurrence.Category.choices)
    injury = serializers.BooleanField(help_text="A person was hurt.")
    happened_at = Timestamp()
    state = serializers.ChoiceField(Occurrence.State.choices)
    written_by = serializers.CharField()
    created_at = Timestamp()
    released_at = Timestamp(allow_null=True, help_text="Until then its data are held.")


class NoteSerializer(serializers.Serializer[OccurrenceNote]):
    at = Timestamp()
    by = serializers.CharField()
    state = serializers.ChoiceField(Occurrence.State.choices, help_text="After the note.")
    text = serializers.CharField()


class FileSerializer(serializers.Serializer[OccurrenceFile]):
    name = serializers.CharField()
    content_type = serializers.CharField()
    size_bytes = serializers.IntegerField()
    sha256 = serializers.CharField()
    at = Timestamp()
    by = serializers.CharField()


class WholeOccurrenceSerializer(OccurrenceSerializer):
    """`text` is null, and `notes` and `files` are empty, for READONLY: they may name people."""

    text = serializers.CharField(allow_null=True, help_text="What happened, as staff wrote it.")
    notes = NoteSerializer(many=True)
    files = FileSerializer(many=True, help_text="They are downloaded in the console.")


class Occurrences(ApiView, ListAPIView[Occurrence]):
    """Occurrences, newest first."""

    permission_classes = (IsStaffOrReadOnly,)
    queryset = Occurrence.objects.select_related("job")
    serializer_class = OccurrenceSerializer


class OneOccurrence(ApiView):
    """One occurrence with what was written about it."""

    permission_classes = (IsStaffOrReadOnly,)

    @extend_schema(responses=WholeOccurrenceSerializer)
    def get(self, request: Request, occurrence_id: UUID) -> Response:
        found = Occurrence.objects.select_related("job").filter(pk=occurrence_id)
        occurrence = found.prefetch_related("notes", "files").first()
        if occurrence is None:
            raise NotFound("occurrence")
        body: dict[str, Any] = dict(WholeOccurrenceSerializer(occurrence).data)
        if self.caller.role not in STAFF_ROLES:
            body |= {"text": None, "notes": [], "files": []}
        return Response(body)
