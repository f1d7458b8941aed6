"""Console pages of merchants' stores."""

from typing import Any

from django import forms
from django.contrib import admin
from django.forms import Script
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils import timezone
from django.utils.html import format_html, linebreaks
from django.utils.safestring import SafeString
from unfold.widgets import UnfoldAdminTextareaWidget, UnfoldAdminTextInputWidget

from fleet import opening_hours_text as as_text
from orders import stores
from orders.models import Store
from wingxtra.console import roles
from wingxtra.console.admin import ConsoleAdmin, badge
from wingxtra.console.registry import Tone
from wingxtra.console.widgets import PolygonInput, tiles

roles.seen_by_all("orders.view_store")

# The field of the form for a member of a store.
FIELDS = {"hours.timezone": "timezone", "hours.weekly": "weekly", "hours.exceptions": "exceptions"}


class StoreForm(forms.ModelForm):
    timezone = forms.CharField(
        max_length=64,
        required=False,
        widget=UnfoldAdminTextInputWidget(attrs={"placeholder": "Africa/Accra"}),
        label="Time zone",
        help_text="Of the opening hours: an IANA name like Africa/Accra. Empty: always open.",
    )
    weekly = forms.CharField(
        required=False,
        widget=UnfoldAdminTextareaWidget(
            attrs={"rows": 4, "placeholder": "Mon-Fri 08:00-12:00, 14:00-20:00"}
        ),
        label="Opening hours",
        help_text="A line per weekday or range of them. Empty: open, but for the exceptions.",
    )
    exceptions = forms.CharField(
        required=False,
        widget=UnfoldAdminTextareaWidget(attrs={"rows": 3, "placeholder": "2026-12-25 closed"}),
        help_text="A line per date: closed, or its hours.",
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
            self.initial["weekly"] = as_text.weekly_lines(hours)
            self.initial["exceptions"] = as_text.exception_lines(hours)

    def clean(self) -> dict[str, Any]:
        data: dict[str, Any] = super().clean() or {}
        hours: dict[str, Any] = {"timezone": data.get("timezone", "")}
        for name, read in (
            ("weekly", as_text.read_weekly),
            ("exceptions", as_text.read_exceptions),
        ):
            try:
                hours[name] = read(data.get(name, ""))
            except as_text.Unreadable as problem:
                self.add_error(name, str(problem))
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
    list_filter = ("active", "live_mode", "merchant")
    list_select_related = ("merchant",)
    search_fields = ("name", "merchant__name")
    when_empty = "No merchant has added a store yet."
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
        now, hours = timezone.now(), store.opening_hours
        if hours is None or hours.is_open(now):
            return badge("Open", Tone.GOOD)
        opens_at = hours.next_opening(now)
        return badge(f"Opens {hours.said(opens_at)}" if opens_at else "Closed", Tone.WARN)

    @admin.display(description="Position")
    def position(self, store: Store) -> str:
        return f"{store.lat:.5f}, {store.lng:.5f}"

    @admin.display(description="Opening hours")
    def opening(self, store: Store) -> SafeString | str:
        if not store.hours:
            return "Always open"
        lines = [as_text.weekly_lines(store.hours), as_text.exception_lines(store.hours)]
        zone = f"Time zone {store.hours['timezone']}"
        return SafeString(linebreaks("\n".join([*filter(None, lines), zone]), autoescape=True))

    @admin.display(description="Loading")
    def loading(self, store: Store) -> SafeString:
        url = reverse("loading-store", args=[store.pk])
        return format_html('<a class="wx-link" href="{}">List for its loaders</a>', url)
