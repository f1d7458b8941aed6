"""Proofs of delivery in the console, read only."""

from django.contrib import admin
from django.http import HttpRequest
from django.utils.html import format_html
from django.utils.safestring import SafeString

from pod import cases_console  # noqa: F401 (registers its pages)
from pod.models import ProofOfDelivery
from wingxtra.console.admin import ReadOnlyAdmin, moment, said_by


@admin.register(ProofOfDelivery)
class ProofAdmin(ReadOnlyAdmin):
    list_display = ("order", "method", "by", "recorded")
    when_empty = (
        "There are no proofs yet. "
        "One is recorded at the door: a photo, a code, a signature or a person’s word."
    )
    list_filter = ("method", "created_at")
    list_select_related = ("order",)
    search_fields = ("order__public_tracking_id",)
    ordering = ("-created_at",)
    fields = ("order", "method", "drone", "by", "created_at")
    personal = ("confirmed_by", "note", "photo")
    readonly_fields = ("photo", "drone", "by")

    def get_fields(
        self, request: HttpRequest, obj: ProofOfDelivery | None = None
    ) -> tuple[str, ...]:
        in_full = request.user.has_perm("orders.view_personal_data")
        return (*self.fields, *self.personal) if in_full else self.fields

    @admin.display(description="Recorded by", ordering="recorded_by")
    def by(self, proof: ProofOfDelivery) -> str:
        return said_by(proof.recorded_by)

    @admin.display(description="Recorded", ordering="created_at")
    def recorded(self, proof: ProofOfDelivery) -> SafeString | str:
        return moment(proof.created_at)

    @admin.display(description="Photo")
    def photo(self, proof: ProofOfDelivery) -> SafeString | str:
        if proof.photo_url:
            return format_html(
                '<a class="wx-link" href="{0}" rel="noreferrer">{0}</a>', proof.photo_url
            )
        return "Stored by us." if proof.has_picture else "—"

    @admin.display(description="Drone")
    def drone(self, proof: ProofOfDelivery) -> str:
        if proof.drone_distance_m is None:
            return "Its position at the proof is not known."
        measured_at = f"{proof.drone_seen_at:%Y-%m-%d %H:%M:%S} UTC"
        return f"{proof.drone_distance_m:.1f} m from the drop point at {measured_at}"
