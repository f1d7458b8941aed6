"""Console pages of merchants' stores."""

from typing import Any

from django import forms
from django.contrib import admin
from django.forms import Script
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString
from unfold.widgets import UnfoldAdminTextInputWidget

from orders import stores
from orders.models import Store
from wingxtra.accounts.models import Merchant
from wingxtra.console import roles
from wingxtra.console.admin import ConsoleAdmin, badge
from wingxtra.console.lists.filters import of_row
from wingxtra.console.registry import Tone
from wingxtra.console.widgets import PolygonInput, tiles
from wingxtra.opening_hours.form import HoursForm, in_lines, open_now

roles.seen_by_all("orders.view_store")

# The field of the form for a member of a store.
FIELDS = {"hours.timezone": "timezone", "hours.weekly": "weekly", "hours.exceptions": "exceptions"}


class StoreForm(HoursForm):
    timezone = forms.CharField(
        max_length=64,
        required=False,
        widget=UnfoldAdminTextInputWidget(attrs={"placeholder": "Africa/Accra"}),
        label="Time zone",
        help_text="Of the opening hours: an IANA name like Africa/Accra. Empty: always open.",
    )

    class Meta:
        model = Store
        fields = ("merchant", "name", "active", "lat", "lng", "instructions")
        labels = {"lat": "Latitude", "lng": "Longitude", "active": "Takes orders"}

    class Media(PolygonInput.Media):
        js = [*PolygonInput.Media.js[:2], Script("console/point.js", defer=True)]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if hours := self.instance.hours:
            self.initial["timezone"] = hours["timezone"]

    def clean(self) -> dict[str, Any]:
        data: dict[str, Any] = super().clean() or {}
        hours = {"timezone": data.get("timezone", ""), **self.written_hours(data)}
        if not hours["timezone"] and (hours.get("weekly") or hours.get("exceptions")):
            self.add_error("timezone", "Opening hours need their time zone.")
        self.instance.hours = hours if hours["timezone"] else None
        return data

    def _post_clean(self) -> None:
        """Django has put the values into the instance; check them as the API does."""
        super()._post_clean()  # type: ignore[misc]
        if self.errors:
            return
        for problem in stores.problems(self.instance):
            member = ".".join(problem.field.split(".")[:2])
            self.add_error(FIELDS.get(member, problem.field), problem.message)
        if duplicate := stores.duplicate_of(self.instance):
            self.add_error("name", duplicate.detail)


@admin.register(Store)
class StoreAdmin(ConsoleAdmin):
    """ADMIN adds and changes stores; they are switched off and never deleted here."""

    form = StoreForm
    change_form_after_template = "console/point_map.html"
    list_display = ("name", "merchant", "mode", "state", "position")
    list_filter = (
        "active",
        "live_mode",
        of_row("merchant", lambda: Merchant.objects.order_by("name")),
    )
    list_select_related = ("merchant",)
    search_fields = ("name", "merchant__name")
    when_empty = (
        "There are no stores yet: "
        "pickup places that orders name. Merchants add them, or an administrator does it here."
    )
    readonly_fields = ("opening", "loading")

    def get_fields(self, request: HttpRequest, obj: Store | None = None) -> Any:
        editable = obj is None or self.has_change_permission(request, obj)
        hours = ("timezone", "weekly", "exceptions") if editable else ("opening",)
        page = () if obj is None else ("loading",)
        return (*StoreForm.Meta.fields, *hours, *page)

    def get_readonly_fields(self, request: HttpRequest, obj: Store | None = None) -> Any:
        merchant = () if obj is None else ("merchant",)
        return (*self.readonly_fields, *merchant)

    def has_delete_permission(self, request: HttpRequest, obj: Store | None = None) -> bool:
        return False

    def save_model(self, request: HttpRequest, obj: Store, form: Any, change: bool) -> None:
        stores.save(obj)

    def render_change_form(
        self, request: HttpRequest, context: dict[str, Any], *args: Any, **kwargs: Any
    ) -> HttpResponse:
        return super().render_change_form(request, {**context, "tiles": tiles()}, *args, **kwargs)

    @admin.display(description="Mode")
    def mode(self, store: Store) -> SafeString | str:
        return "Live" if store.live_mode else badge("Test", Tone.IDLE)

    @admin.display(description="State", ordering="active")
    def state(self, store: Store) -> SafeString:
        if not store.active:
            return badge("Takes no orders", Tone.IDLE)
        return open_now(store.opening_hours, timezone.now())

    @admin.display(description="Position")
    def position(self, store: Store) -> str:
        return f"{store.lat:.5f}, {store.lng:.5f}"

    @admin.display(description="Opening hours")
    def opening(self, store: Store) -> SafeString | str:
        return in_lines(store.hours, store.hours["timezone"] if store.hours else "")

    @admin.display(description="Loading")
    def loading(self, store: Store) -> SafeString:
        url = reverse("loading-store", args=[store.pk])
        return format_html('<a class="wx-link" href="{}">List for its loaders</a>', url)
