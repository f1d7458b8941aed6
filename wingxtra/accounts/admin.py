"""Merchants, API keys and users: ADMIN's pages."""

from typing import Any

from django import forms
from django.contrib import admin
from django.contrib.auth.admin import UserAdmin as DjangoUserAdmin
from django.contrib.auth.models import Group
from django.core.files.uploadedfile import UploadedFile
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.utils import timezone
from django.utils.safestring import SafeString
from django_otp.plugins.otp_totp.models import TOTPDevice
from unfold.forms import AdminPasswordChangeForm, UserChangeForm, UserCreationForm

from wingxtra.accounts import branding, tokens
from wingxtra.accounts.identity import Role
from wingxtra.accounts.models import ApiKey, Merchant, User
from wingxtra.console.admin import ConsoleAdmin, badge, moment
from wingxtra.console.lists.filters import of_row
from wingxtra.console.registry import Tone
from wingxtra.console.roles import CONSOLE_ROLES

# The apps declare what a role may do. The next migrate would undo an edit made here.
admin.site.unregister(Group)
# Its pages show the secrets. Staff set up their own device; an administrator can only reset it.
admin.site.unregister(TOTPDevice)


class OneEntry:
    """For admins of a model that writes its own history, which says more than Django's entry.

    Changes of other rows on the same page (inlines) stay in Django's.
    """

    def log_addition(self, request: HttpRequest, obj: Any, message: Any) -> Any:
        return self._log(super().log_addition, request, obj, message)  # type: ignore[misc]

    def log_change(self, request: HttpRequest, obj: Any, message: Any) -> Any:
        return self._log(super().log_change, request, obj, message)  # type: ignore[misc]

    @staticmethod
    def _log(log: Any, request: HttpRequest, obj: Any, message: Any) -> Any:
        of_others = [part for part in message if any("name" in said for said in part.values())]
        return log(request, obj, of_others) if of_others else None


class RoleHasItsMerchant:
    """For forms with `role` and `merchant`: only the merchant role has a merchant, and must."""

    def clean(self) -> dict[str, Any]:
        data: dict[str, Any] = super().clean() or {}  # type: ignore[misc]
        if "role" not in data or "merchant" not in data:
            return data
        if data["role"] == Role.MERCHANT and data["merchant"] is None:
            self.add_error("merchant", "Say which merchant this is for.")  # type: ignore[attr-defined]
        if data["role"] != Role.MERCHANT and data["merchant"] is not None:
            self.add_error(  # type: ignore[attr-defined]
                "merchant", "Only the merchant role belongs to a merchant. Leave this empty."
            )
        return data


class MerchantForm(forms.ModelForm):
    def clean_logo(self) -> Any:
        given = self.cleaned_data["logo"]
        return branding.as_logo(given) if isinstance(given, UploadedFile) else given

    class Meta:
        model = Merchant
        fields = ("name", "support_contact", "brand_color", "logo", "active", "live_keys_allowed")
        widgets = {"brand_color": forms.TextInput(attrs={"placeholder": "#0b7a4b"})}


@admin.register(Merchant)
class MerchantAdmin(OneEntry, ConsoleAdmin):
    form = MerchantForm
    list_display = ("name", "support_contact", "active", "since")
    when_empty = (
        "There are no merchants yet: shops that order deliveries. An administrator adds them here."
    )
    list_filter = ("active",)
    search_fields = ("name",)

    @admin.display(description="Since", ordering="created_at")
    def since(self, merchant: Merchant) -> SafeString | str:
        return moment(merchant.created_at)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False  # orders refer to it; `active` ends its access


class ApiKeyForm(RoleHasItsMerchant, forms.ModelForm):
    class Meta:
        model = ApiKey
        fields = ("name", "role", "merchant", "live_mode", "expires_at")


@admin.register(ApiKey)
class ApiKeyAdmin(OneEntry, ConsoleAdmin):
    """Issues a key and shows it once, in the response. After that it can only be revoked."""

    form = ApiKeyForm
    list_display = ("name", "hint", "role", "merchant", "state", "last_used", "expires")
    when_empty = (
        "There are no API keys yet: "
        "programs of merchants and of staff log in with one. An administrator issues them here."
    )
    list_filter = (
        "role",
        "live_mode",
        of_row("merchant", lambda: Merchant.objects.order_by("name")),
    )
    list_select_related = ("merchant",)
    search_fields = ("name", "hint")

    def has_change_permission(self, request: HttpRequest, obj: ApiKey | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: ApiKey | None = None) -> bool:
        return False

    def save_model(self, request: HttpRequest, obj: ApiKey, form: Any, change: bool) -> None:
        row, key = ApiKey.issue(**form.cleaned_data)
        obj.__dict__.update(row.__dict__)
        request.issued_key = key  # type: ignore[attr-defined]

    def response_add(
        self, request: HttpRequest, obj: ApiKey, post_url_continue: str | None = None
    ) -> HttpResponse:
        """Renders the page without a redirect, so that the key is stored nowhere."""
        context = {
            **self.admin_site.each_context(request),
            "title": f"API key {obj.name}",
            "key": request.issued_key,  # type: ignore[attr-defined]
            "row": obj,
        }
        # Not cached: the admin sends never_cache with every page.
        return TemplateResponse(request, "console/key_issued.html", context)

    @admin.display(description="State")
    def state(self, key: ApiKey) -> SafeString:
        if key.revoked_at:
            return badge("Revoked", Tone.BAD)
        if key.has_expired(timezone.now()):
            return badge("Expired", Tone.WARN)
        return badge("Live" if key.live_mode else "Test", Tone.GOOD if key.live_mode else Tone.IDLE)

    @admin.display(description="Last used", ordering="last_used_at")
    def last_used(self, key: ApiKey) -> SafeString | str:
        return moment(key.last_used_at)

    @admin.display(description="Expires", ordering="expires_at")
    def expires(self, key: ApiKey) -> SafeString | str:
        return moment(key.expires_at)


MERCHANT_HELP = {"merchant": "Only for the merchant role: whose orders they see. Empty otherwise."}


class NewUserForm(RoleHasItsMerchant, UserCreationForm):
    # All users log in with a password, so Django's choice of “no password” is hidden.
    usable_password = None

    class Meta(UserCreationForm.Meta):
        help_texts = MERCHANT_HELP


class EditedUserForm(RoleHasItsMerchant, UserChangeForm):
    class Meta(UserChangeForm.Meta):
        help_texts = MERCHANT_HELP


@admin.register(User)
class UserAdmin(OneEntry, DjangoUserAdmin, ConsoleAdmin):
    """One form for a new user: name, role, password. Permissions follow from the role."""

    form = EditedUserForm
    add_form = NewUserForm
    add_form_template = None  # Django's own announces a second form
    change_password_form = AdminPasswordChangeForm
    list_display = ("username", "full_name", "role", "merchant", "is_active", "seen")
    list_filter = (
        "role",
        "is_active",
        of_row("merchant", lambda: Merchant.objects.order_by("name")),
    )
    list_select_related = ("merchant",)
    filter_horizontal = ()
    readonly_fields = ("last_login", "date_joined")
    fieldsets = (
        (None, {"fields": ("username", "password")}),
        ("Person", {"fields": ("first_name", "last_name", "email")}),
        ("Access", {"fields": ("role", "merchant", "is_active")}),
        ("Record", {"fields": ("last_login", "date_joined")}),
    )
    add_fieldsets = (
        (None, {"fields": ("username", "first_name", "last_name", "email", "role", "merchant")}),
        ("Password", {"fields": ("password1", "password2")}),
    )

    def has_delete_permission(self, request: HttpRequest, obj: User | None = None) -> bool:
        return False  # events and history name them; `is_active` ends their access

    def save_model(self, request: HttpRequest, obj: User, form: Any, change: bool) -> None:
        obj.is_staff = obj.role in CONSOLE_ROLES
        super().save_model(request, obj, form, change)
        if not obj.is_active:
            tokens.end_families(obj, "The account was switched off.")

    @admin.display(description="Last log-in", ordering="last_login")
    def seen(self, user: User) -> SafeString | str:
        return moment(user.last_login) if user.last_login else "Never"

    @admin.display(description="Name")
    def full_name(self, user: User) -> str:
        return user.get_full_name() or "—"
