"""Actions of staff on objects: one form, one permission, one call of a domain verb per object.

An app registers its actions (`register`). Each is offered on the object's page and in the list;
both link to the page of `act`. A GET of that page changes nothing; its form carries the action out.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from types import MappingProxyType
from typing import Any
from urllib.parse import quote, urlencode

from django import forms
from django.apps import apps
from django.contrib import messages
from django.contrib.admin.models import CHANGE, LogEntry
from django.contrib.contenttypes.models import ContentType
from django.core.exceptions import PermissionDenied, ValidationError
from django.db.models import Model
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect, QueryDict
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.html import strip_tags
from django.utils.http import url_has_allowed_host_and_scheme

from wingxtra.console import watches
from wingxtra.console.registry import Button, Reads, no_rows
from wingxtra.console.widgets import tiles
from wingxtra.database import together
from wingxtra.problems import Problem

MAX_TARGETS = 200


class ActionForm(forms.Form):
    """Input of an action. `targets`: the objects that it applies to; `user`: who carries it out;
    `query`: of the page's address.
    """

    def __init__(
        self,
        *args: Any,
        targets: Sequence[Any],
        user: Any,
        query: QueryDict | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, **kwargs)
        self.targets = targets
        self.user = user
        self.query = query or QueryDict()


class ReasonForm(ActionForm):
    reason = forms.CharField(
        max_length=300,
        widget=forms.Textarea(attrs={"rows": 2}),
        help_text="Goes into the record, with your name. No personal data of customers.",
    )


@dataclass(frozen=True, slots=True)
class Secret:
    """A result of an action that is shown once and neither logged nor stored."""

    value: str
    result: str
    explanation: str


@dataclass(frozen=True, slots=True)
class Created:
    """An object that an action created. The user is sent to its page."""

    url: str
    result: str


@dataclass(frozen=True, slots=True)
class Action:
    """`carry_out(target, form.cleaned_data, user)` acts on one target and returns the result.

    It raises Problem to refuse. `why_not(target)` is a sentence if the target's state does not
    allow the action, else None; it gets the rows of the querysets that `reads(target)` returns as
    further arguments. `prepare(targets, form.cleaned_data, user)` runs once before the first
    target; its return value is `data["prepared"]`.
    """

    model: type[Model]
    name: str
    label: str
    permission: str
    carry_out: Callable[[Any, dict[str, Any], Any], str | Secret | Created]
    prepare: Callable[[list[Any], dict[str, Any], Any], Any] | None = None
    form: type[ActionForm] = ActionForm
    why_not: Callable[..., str | None] = lambda target: None
    reads: Reads = no_rows
    explanation: str = ""
    icon: str = "bolt"
    is_grave: bool = False
    is_answer: bool = False  # answers the question at the top of the object's page
    in_bulk: bool = True
    in_background: bool = False  # on thousands, see wingxtra.console.bulk; without `prepare`
    template: str = "console/action.html"

    def url(self, *pks: Any, next: str = "") -> str:
        """The address of the action's page for these objects; `next`: where to go afterwards."""
        query = [("id", str(pk)) for pk in pks] + ([("next", next)] if next else [])
        path = _path_of(self.model._meta.label_lower, self.name)
        return f"{path}?{urlencode(query, safe='/', quote_via=quote)}"


@cache
def _path_of(label: str, name: str) -> str:
    """A dashboard has hundreds of buttons of few actions."""
    return reverse("admin:act", args=[label, name])


@dataclass(frozen=True, slots=True)
class Description:
    how: Callable[[Any], str] = lambda instance: ""
    related: tuple[str, ...] = ()


@dataclass
class Target:
    """One object of an action's page, with the action's outcome."""

    object: Any
    token: str = ""
    why_not: str | None = None
    about: str = ""
    result: str = ""
    secret: Secret | None = None
    created_url: str = ""
    problem: str = ""
    changes: list[str] = field(default_factory=list)


_actions: dict[tuple[str, str], Action] = {}
_descriptions: dict[str, Description] = {}


def register(*some: Action) -> None:
    for action in some:
        _actions[action.model._meta.label_lower, action.name] = action


def describe(model: type[Model], how: Callable[[Any], str], *related: str) -> None:
    """`how(object)` returns a line that identifies the object for people, beside its name.

    `related`: the foreign keys that it reads.
    """
    _descriptions[model._meta.label_lower] = Description(how, related)


def named(label: str, name: str) -> Action | None:
    return _actions.get((label, name))


def button(model: type[Model], name: str, *pks: Any, next: str = "") -> Button:
    """A button for an action on at most MAX_TARGETS objects. Any app may have registered it."""
    action = _actions[model._meta.label_lower, name]
    ids, url = tuple(map(str, pks)), action.url(*pks, next=next)
    return Button(f"{action.label}…", url, action.permission, ids, action.in_bulk)


def buttons(
    instance: Model, *names: str, known: Mapping[str, bool] = MappingProxyType({})
) -> tuple[Button, ...]:
    """Buttons for those of the named actions that the object's state allows now. `known`: for
    actions whose `why_not` reads the database, what the caller has found already.
    """
    label = instance._meta.label_lower
    asked = [_actions[label, name] for name in names]
    allowed = _allowed(instance, [action for action in asked if action.name not in known])
    return tuple(
        button(type(instance), action.name, instance.pk)
        for action in asked
        if known.get(action.name, action in allowed)
    )


def of_model(model: type[Model], user: Any) -> list[Action]:
    """The actions on this model that the user may carry out, in order of registration."""
    label = model._meta.label_lower
    return [a for (of, _), a in _actions.items() if of == label and user.has_perm(a.permission)]


def possible(instance: Model, user: Any) -> list[tuple[Action, str]]:
    """The actions that this object's state allows now, with their addresses; grave ones last."""
    offered = _allowed(instance, of_model(type(instance), user))
    offered.sort(key=lambda action: action.is_grave)
    return [(action, action.url(instance.pk)) for action in offered]


def _allowed(instance: Model, asked: Sequence[Action]) -> list[Action]:
    """Those that the object's state allows now. One statement at most."""
    rows = together.read_groups([action.reads(instance) for action in asked])
    return [
        action
        for action, found in zip(asked, rows, strict=True)
        if action.why_not(instance, *found) is None
    ]


def act(request: HttpRequest, label: str, name: str) -> HttpResponse:
    """The page of one action on the objects `id=`; a POST carries it out on each."""
    action = named(label, name)
    if action is None:
        raise Http404
    if not request.user.has_perm(action.permission):
        raise PermissionDenied
    targets = _targets(action, request.GET.getlist("id"))
    form = action.form(
        request.POST if request.method == "POST" else None,
        targets=[target.object for target in targets],
        user=request.user,
        query=request.GET,
    )
    if request.method == "POST" and form.is_valid():
        _note_changes(
            action, targets, [request.POST.get(f"seen-{t.object.pk}", "") for t in targets]
        )
        _carry_out_all(action, targets, form.cleaned_data, request.user)
        answer = _answer(action, targets, form, request)
        if answer is not None:
            return answer
        # Refresh the tokens, so that the next submit refers to the state that is now shown.
        targets = _refreshed(action, targets)
    return TemplateResponse(request, action.template, _context(action, targets, form, request))


def _targets(action: Action, pks: Sequence[str]) -> list[Target]:
    """The objects `id=` in their current state. Raises Http404 if one does not exist."""
    asked = list(dict.fromkeys(pks))
    if not asked or len(asked) > MAX_TARGETS:
        raise Http404(f"Name 1 to {MAX_TARGETS} objects.")
    description = _descriptions.get(action.model._meta.label_lower, Description())
    rows = action.model._default_manager.all()
    try:
        found = rows.select_related(*description.related or [None]).in_bulk(asked)
    except (ValidationError, ValueError) as error:
        raise Http404("There is no such object.") from error
    by_name = {str(pk): instance for pk, instance in found.items()}
    if len(by_name) != len(asked):
        raise Http404("There is no such object.")
    instances = [by_name[pk] for pk in asked]
    seen = watches.tokens(action.model, instances, action.name)
    return [
        Target(
            instance,
            seen.get(instance.pk, ""),
            _why_not(action, instance),
            description.how(instance),
        )
        for instance in instances
    ]


def _why_not(action: Action, instance: Model) -> str | None:
    return action.why_not(instance, *together.read(*action.reads(instance)))


def _refreshed(action: Action, old: list[Target]) -> list[Target]:
    """The same targets fetched again, with their outcomes."""
    fresh = _targets(action, [str(target.object.pk) for target in old])
    for target, before in zip(fresh, old, strict=True):
        target.result, target.problem = before.result, before.problem
        target.changes = before.changes
    return fresh


def carry_out(action: Action, pk: str, seen: str, data: dict[str, Any], user: Any) -> Target:
    """Carry it out on one object, without a page. `seen`: its token when it was chosen.

    Raises Http404 if the object does not exist.
    """
    targets = _targets(action, [pk])
    _note_changes(action, targets, [seen])
    _carry_out_all(action, targets, data, user)
    return targets[0]


def _note_changes(action: Action, targets: list[Target], seen: list[str]) -> None:
    for target, token in zip(targets, seen, strict=True):
        if token != target.token:
            target.changes = watches.since(action.model, target.object, action.name, token)


def _carry_out_all(action: Action, targets: list[Target], data: dict[str, Any], user: Any) -> None:
    for target in targets:
        if target.changes:
            target.problem = "Changed since you opened this page; nothing was done."
        elif target.why_not:
            target.problem = target.why_not
    ready = [target for target in targets if not target.problem]
    if action.prepare and ready:
        try:
            data["prepared"] = action.prepare([t.object for t in ready], data, user)
        except Problem as problem:
            for target in ready:
                target.problem = problem.detail
            return
    for target in ready:
        _carry_out(action, target, data, user)


def _carry_out(action: Action, target: Target, data: dict[str, Any], user: Any) -> None:
    try:
        done = action.carry_out(target.object, data, user)
    except Problem as problem:
        target.problem = problem.detail
    except ValidationError as problem:
        target.problem = " ".join(problem.messages)
    else:
        target.secret = done if isinstance(done, Secret) else None
        target.created_url = done.url if isinstance(done, Created) else ""
        target.result = done if isinstance(done, str) else done.result
        log(user, target.object, f"{action.label}: {strip_tags(target.result)}")


def log(user: Any, instance: Model, message: str) -> None:
    """Write an entry into the history of what staff did."""
    LogEntry.objects.create(
        user=user,
        content_type=ContentType.objects.get_for_model(instance),
        object_id=str(instance.pk),
        object_repr=str(instance)[:200],
        action_flag=CHANGE,
        change_message=message,
    )


def _answer(
    action: Action, targets: list[Target], form: ActionForm, request: HttpRequest
) -> HttpResponse | None:
    """The response after the action; None to show the form again with the refusals."""
    if len(targets) == 1:
        if targets[0].problem:
            return None
        if targets[0].secret:
            # Rendered without a redirect, so that the secret is stored nowhere.
            context = _context(action, targets, form, request)
            return TemplateResponse(request, "console/secret_once.html", context)
        messages.success(request, targets[0].result)
        return HttpResponseRedirect(targets[0].created_url or _way_back(action, targets, request))
    context = _context(action, targets, form, request)
    context["done"] = sum(not target.problem for target in targets)
    return TemplateResponse(request, "console/action_results.html", context)


def _way_back(action: Action, targets: list[Target], request: HttpRequest) -> str:
    wanted = request.POST.get("next") or request.GET.get("next", "")
    if wanted and url_has_allowed_host_and_scheme(wanted, {request.get_host()}):
        return wanted
    return page_of(targets[0].object)


def page_of(instance: Model) -> str:
    meta = instance._meta
    return reverse(f"admin:{meta.app_label}_{meta.model_name}_change", args=[instance.pk])


def _context(
    action: Action, targets: list[Target], form: ActionForm, request: HttpRequest
) -> dict[str, Any]:
    from django.contrib import admin

    meta = action.model._meta
    count = len(targets)
    about = str(targets[0].object) if count == 1 else f"{count} {meta.verbose_name_plural}"
    return {
        **admin.site.each_context(request),
        "title": f"{action.label}: {about}",
        "action": action,
        "targets": targets,
        "form": form,
        "tiles": tiles(),
        "changes_url": watches.watched(targets[0].object, action.name, targets[0].token)
        if count == 1
        else "",
        "any_possible": any(target.why_not is None for target in targets),
        "back": _way_back(action, targets, request)
        if count == 1
        else reverse(f"admin:{meta.app_label}_{meta.model_name}_changelist"),
        "next": request.GET.get("next", ""),
        "app_label": apps.get_app_config(meta.app_label).verbose_name,
    }
