"""Saved filters of a list: a name for what its address chooses. Own ones, and those shared.

Only the list's own parameters are kept, and no search text: it may name a customer.
"""

from typing import Any

from django import forms
from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.db.models import Case, Q, QuerySet, When
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect, QueryDict
from django.urls import reverse
from django.utils.http import urlencode
from django.views.decorators.http import require_POST

from wingxtra.console.lists.change_list import ConsoleChangeList
from wingxtra.console.models import MAX_QUERY, SavedFilter

# Together as many as the box of a list shows.
MAX_OWN, MAX_SHARED = 30, 70
ADD, DELETE = "console.add_savedfilter", "console.delete_savedfilter"


class NameForm(forms.ModelForm):
    class Meta:
        model = SavedFilter
        fields = ("name", "is_shared")


def shown(label: str, request: HttpRequest) -> dict[str, Any]:
    """The context of `console/saved_filters.html`, own ones first. One statement."""
    user: Any = request.user
    mine = Q(owner=user) | Q(is_shared=True)
    found = SavedFilter.objects.filter(mine, label=label).select_related("owner")
    own_first = found.order_by(Case(When(owner=user, then=0), default=1), "name", "pk")
    here = sorted(QueryDict(request.GET.urlencode()).lists())
    return {
        "saved_filters": [
            {
                "filter": one,
                "is_own": one.owner == user,
                "is_here": sorted(QueryDict(one.query).lists()) == here,
                "may_delete": _may_delete(user, one),
            }
            for one in own_first[: MAX_OWN + MAX_SHARED]
        ],
        "may_save_filter": user.has_perm(ADD),
        "query": request.GET.urlencode(),
    }


def save(cl: ConsoleChangeList, request: HttpRequest) -> HttpResponse:
    """Keep what the list `cl` is filtered by under the posted name, in place of an older one."""
    user: Any = request.user
    if not user.has_perm(ADD):
        raise PermissionDenied
    label = cl.opts.label_lower
    query = urlencode(
        sorted((k, v) for k, v in cl.params.items() if k in cl.known_parameters and v), doseq=True
    )
    back = HttpResponseRedirect(f"{reverse(_list_of(label))}?{query}")
    form = NameForm(request.POST)
    own = SavedFilter.objects.filter(owner=user, label=label)
    refusal = _refusal(cl, query, form) or _one_too_many(own, label, form)
    if refusal:
        messages.error(request, f"The filter was not saved. {refusal}")
        return back
    name, is_shared = form.cleaned_data["name"], form.cleaned_data["is_shared"]
    own.update_or_create(
        name=name, defaults={"query": query, "is_shared": is_shared, "owner": user, "label": label}
    )
    messages.success(request, f"The filter “{name}” is saved.")
    return back


def _refusal(cl: ConsoleChangeList, query: str, form: NameForm) -> str:
    if cl.problem:
        return cl.problem
    if not query:
        return "The list shows everything: choose a tab or a filter first."
    if len(query) > MAX_QUERY:
        return f"It has {len(query)} characters, and at most {MAX_QUERY} can be kept."
    return " ".join(str(error) for errors in form.errors.values() for error in errors)


def _one_too_many(own: QuerySet[SavedFilter], label: str, form: NameForm) -> str:
    before = own.filter(name=form.cleaned_data["name"]).first()
    if before is None and own.count() >= MAX_OWN:
        return f"You have {MAX_OWN} saved filters, which is the most: delete one first."
    is_shared_now = form.cleaned_data["is_shared"] and not (before and before.is_shared)
    shared = SavedFilter.objects.filter(label=label, is_shared=True)
    if is_shared_now and shared.count() >= MAX_SHARED:
        return (
            f"Staff share {MAX_SHARED} filters of this list, which is the most: delete one first."
        )
    return ""


@require_POST
def delete(request: HttpRequest, pk: int) -> HttpResponse:
    """An own one, or as an administrator one that is shared."""
    user: Any = request.user
    one = SavedFilter.objects.filter(Q(owner=user) | Q(is_shared=True), pk=pk).first()
    if one is None:
        raise Http404("There is no such filter.")
    if not _may_delete(user, one):
        raise PermissionDenied
    one.delete()
    messages.success(request, f"The filter “{one.name}” is deleted.")
    return HttpResponseRedirect(reverse(_list_of(one.label)))


def _may_delete(user: Any, one: SavedFilter) -> bool:
    return bool(one.owner == user or (one.is_shared and user.has_perm(DELETE)))


def _list_of(label: str) -> str:
    return f"admin:{label.replace('.', '_')}_changelist"
