"""The console's lists: what is filtered, what can be selected, and what an address says wrongly."""

from typing import Any

from django.contrib import admin
from django.contrib.admin.options import IncorrectLookupParameters
from django.contrib.admin.views.main import ORDER_VAR
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.functional import cached_property
from unfold.views import ChangeList

from wingxtra.console.bulk import choosing


class BadFilter(IncorrectLookupParameters):
    """A filter has a value that it does not know. The text is for people."""


class ConsoleChangeList(ChangeList):
    """A list that shows a sentence when it is empty.

    A list whose address has an unknown filter or value is empty and says why (`problem`): shown
    without the filter, it would answer another question than the one asked.
    """

    problem: str = ""
    page_num: int

    @property
    def when_empty(self) -> str:
        text: str = self.model_admin.when_empty
        return text or f"There are no {self.opts.verbose_name_plural} yet."

    # --- filters ---------------------------------------------------------------------------------

    def get_filters(self, request: HttpRequest) -> Any:
        for name in [*self.get_filters_params()]:
            if not self._is_known(name):
                self.problem = f"This list has no filter “{name}”."
                del self.filter_params[name]
                self.params.pop(name, None)
        return super().get_filters(request)

    def _is_known(self, name: str) -> bool:
        fields = {field.name for field in self.opts.get_fields()}
        own = {
            parameter
            for one in self.list_filter
            for parameter in getattr(
                one[1] if isinstance(one, tuple) else one, "parameters_of", _parameter_of
            )(one)
        }
        return name in own or name.partition("__")[0] in fields

    def get_queryset(self, request: HttpRequest, exclude_parameters: Any = None) -> Any:
        try:
            found: QuerySet[Any] = super().get_queryset(request, exclude_parameters)
            for spec in self.filter_specs:
                _refuse_unknown(spec)
        except IncorrectLookupParameters as problem:
            is_said = isinstance(problem, BadFilter)
            self.problem = str(problem) if is_said else "A filter has a value that it cannot have."
        return self.root_queryset.none() if self.problem else found

    def get_results(self, request: HttpRequest) -> None:
        try:
            super().get_results(request)
        except IncorrectLookupParameters:
            self.problem = f"There is no page {self.page_num}."
            self.page_num, self.queryset = 1, self.root_queryset.none()
            super().get_results(request)

    @property
    def has_filter_fields(self) -> bool:
        return any(getattr(spec, "is_field", False) for spec in self.filter_specs)

    @property
    def kept_beside_fields(self) -> list[tuple[str, str]]:
        """What the form of the filters' fields keeps: search, order, and the filters by links."""
        fields = [spec for spec in self.filter_specs if getattr(spec, "is_field", False)]
        own = {name for spec in fields for name in spec.expected_parameters()}
        return [(name, value) for name, value in self.params.items() if name not in own]

    @property
    def known_parameters(self) -> set[str]:
        """What a saved filter keeps. Not the search: its text may name a customer."""
        expected = [name for spec in self.filter_specs for name in spec.expected_parameters()]
        return {ORDER_VAR, *filter(None, expected)}

    # --- selection -------------------------------------------------------------------------------

    @cached_property
    def selectable(self) -> int:
        """How many rows “select all” selects; MAX_CHOSEN + 1 for any more."""
        shown = len(self.result_list)
        if self.page_num == 1 and shown < self.list_per_page:
            return shown
        return int(self.queryset.order_by()[: choosing.MAX_CHOSEN + 1].count())

    @property
    def too_many(self) -> str:
        """“10,000” if “select all” would select more; else empty."""
        return f"{choosing.MAX_CHOSEN:,}" if self.selectable > choosing.MAX_CHOSEN else ""


def _parameter_of(one: Any) -> list[str]:
    return [one.parameter_name] if hasattr(one, "parameter_name") else []


def _refuse_unknown(spec: Any) -> None:
    """Raises BadFilter for a value that is none of the filter's choices."""
    if not isinstance(spec, admin.SimpleListFilter) or not spec.value():
        return
    if spec.value() not in {str(value) for value, _ in spec.lookup_choices}:
        known = ", ".join(str(value) for value, _ in spec.lookup_choices)
        raise BadFilter(f"The filter “{spec.title}” does not know “{spec.value()}”, only {known}.")
