"""Detects that an object has changed since a page about it was opened."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from django.apps import apps
from django.core.exceptions import PermissionDenied, ValidationError
from django.db.models import Model
from django.http import Http404, HttpRequest, JsonResponse
from django.urls import reverse
from django.utils.http import urlencode


@dataclass(frozen=True, slots=True)
class Watch:
    """Detects changes of an object since a page about it was opened.

    `token(objects)` returns a token of the current state per pk; `changes(object, token)` describes
    what happened since that token, one sentence per change.
    """

    token: Callable[[Sequence[Any]], dict[Any, str]]
    changes: Callable[[Any, str], list[str]]


# By the label of the model, and the name of an action or "".
_watches: dict[tuple[str, str], Watch] = {}


def watch(model: type[Model], how: Watch, *actions: str) -> None:
    """Watch the model, or only for these actions: an action whose effect does not depend on every
    change has a watch of its own.
    """
    for action in actions or ("",):
        _watches[model._meta.label_lower, action] = how


def _watch_of(label: str, action: str) -> Watch | None:
    return _watches.get((label, action)) or _watches.get((label, ""))


def tokens(model: type[Model], instances: Sequence[Any], action: str) -> dict[Any, str]:
    """The token of the present state per pk, for this action; none for a model that is not
    watched.
    """
    how = _watch_of(model._meta.label_lower, action)
    return how.token(instances) if how else {}


def since(model: type[Model], instance: Any, action: str, seen: str) -> list[str]:
    """What happened since the token `seen`, one sentence per change."""
    how = _watch_of(model._meta.label_lower, action)
    return how.changes(instance, seen) if how else []


def changes(request: HttpRequest, label: str) -> JsonResponse:
    """`{changes}`: changes of the object `id=` since the token `seen=` that matter for the action
    `for=`, one sentence each.
    """
    how = _watch_of(label, request.GET.get("for", ""))
    if how is None:
        raise Http404
    model = apps.get_model(label)
    if not request.user.has_perm(f"{model._meta.app_label}.view_{model._meta.model_name}"):
        raise PermissionDenied
    try:
        instance = model._default_manager.filter(pk=request.GET.get("id", "")).first()
    except (ValidationError, ValueError) as error:
        raise Http404("There is no such object.") from error
    if instance is None:
        raise Http404("There is no such object.")
    return JsonResponse({"changes": how.changes(instance, request.GET.get("seen", ""))})


def watched(instance: Model, action: str, token: str) -> str:
    """The address that lists the changes of this object since `token` for this action; empty
    without a token.
    """
    if not token:
        return ""
    path = reverse("admin:changes", args=[instance._meta.label_lower])
    return f"{path}?{urlencode({'id': instance.pk, 'for': action, 'seen': token})}"
