"""The pages below `/docs`. They change only with the program, so each is made once."""

import json
from functools import cache
from typing import Any

from django.conf import settings
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.cache import cache_control
from django.views.decorators.http import require_safe
from rest_framework.renderers import JSONRenderer

from wingxtra.api.schema.views import MerchantReference
from wingxtra.guide import fields, markdown

# Path below /docs, and the file of `docs/` that it shows.
PAGES = {"": "api.md", "security-reporting": "security/reporting.md"}
FIELDS = "/docs/fields"
SERVED = {file: f"/docs/{path}".rstrip("/") for path, file in PAGES.items()} | {
    "contracts/members.md": FIELDS
}


@require_safe
@cache_control(public=True, max_age=300)
def guide(request: HttpRequest, path: str = "") -> HttpResponse:
    if path not in PAGES:
        raise Http404
    context: dict[str, Any] = {"page": _page(PAGES[path]), "here": request.path}
    return render(request, "guide/page.html", context)


@require_safe
@cache_control(public=True, max_age=300)
def all_fields(request: HttpRequest) -> HttpResponse:
    context: dict[str, Any] = {"bodies": _bodies(), "here": request.path}
    return render(request, "guide/fields.html", context)


@cache
def _page(file: str) -> markdown.Page:
    return markdown.page_of((settings.BASE_DIR / "docs" / file).read_text(), SERVED)


@cache
def _bodies() -> list[fields.Body]:
    described = MerchantReference().get_schema(public=True)
    # Through JSON: some texts of the description are lazy.
    return fields.bodies(json.loads(JSONRenderer().render(described)))
