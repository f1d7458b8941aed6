"""A loader's hubs on the user's page in the console. Here, because accounts know no hubs."""

from typing import Any

from django import forms
from django.forms.models import BaseInlineFormSet
from unfold.admin import StackedInline

from orders.loading.models import Loader
from wingxtra.accounts.admin import UserAdmin
from wingxtra.accounts.identity import Role


class RoleHasItsHubs(BaseInlineFormSet):
    """A loader needs a hub; other roles must not have one."""

    def clean(self) -> None:
        super().clean()
        kept = [
            form
            for form in self.forms
            if form.cleaned_data.get("hub") and not form.cleaned_data.get("DELETE")
        ]
        user: Any = self.instance
        if user.role == Role.LOADER and not kept:
            raise forms.ValidationError("Choose the hub at which the loader works.")
        if user.role != Role.LOADER and kept:
            raise forms.ValidationError("Only the loader role belongs to hubs. Remove these.")


class LoaderInline(StackedInline):
    model = Loader
    formset = RoleHasItsHubs
    fields = ("hub",)
    extra = 1
    verbose_name = "hub"
    verbose_name_plural = "Hubs of a loader"


UserAdmin.inlines = [*UserAdmin.inlines, LoaderInline]
