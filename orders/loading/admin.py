"""A loader's places on the user's page in the console. Here, because accounts know no hubs."""

from typing import Any

from django import forms
from django.forms.models import BaseInlineFormSet
from unfold.admin import StackedInline

from orders.loading.models import Loader
from orders.models import Store
from wingxtra.accounts.admin import UserAdmin
from wingxtra.accounts.identity import Role


class RoleHasItsPlaces(BaseInlineFormSet):
    """A loader needs a place; other roles must not have one."""

    def clean(self) -> None:
        super().clean()
        kept = [
            form
            for form in self.forms
            if (form.cleaned_data.get("hub") or form.cleaned_data.get("store"))
            and not form.cleaned_data.get("DELETE")
        ]
        if any(form.cleaned_data.get("hub") and form.cleaned_data.get("store") for form in kept):
            # The form's own error is not shown in a stacked inline.
            raise forms.ValidationError("Choose a hub or a store, not both.")
        user: Any = self.instance
        if user.role == Role.LOADER and not kept:
            raise forms.ValidationError("Choose the hub or the store at which the loader works.")
        if user.role != Role.LOADER and kept:
            raise forms.ValidationError("Only the loader role belongs to places. Remove these.")


class LoaderInline(StackedInline):
    model = Loader
    formset = RoleHasItsPlaces
    fields = ("hub", "store")
    extra = 1
    verbose_name = "place"
    verbose_name_plural = "Places of a loader"

    def formfield_for_foreignkey(self, db_field: Any, request: Any, **options: Any) -> Any:
        if db_field.name == "store":
            stores = Store.objects.select_related("merchant")
            options["queryset"] = stores.order_by("merchant__name", "name")
        field: Any = super().formfield_for_foreignkey(db_field, request, **options)
        if db_field.name == "store" and field is not None:
            field.label_from_instance = lambda store: f"{store.merchant}: {store}"
        return field


UserAdmin.inlines = [*UserAdmin.inlines, LoaderInline]
