"""Orders from a file, in the console: for one merchant, looked at row by row, then placed.

The verbs are those of the merchant's page (`orders.files.imports`): staff call them as this
merchant, under their own name.
"""

from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from django import forms
from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_http_methods

from orders import presentation
from orders.files import imports, reading
from orders.models import Order
from wingxtra.accounts.identity import Actor, Role
from wingxtra.accounts.models import Merchant, User
from wingxtra.console import actions
from wingxtra.problems import Problem

PERMISSION = "orders.add_order"
MAX_SHOWN = 100
# The merchant is chosen on the page, and the orders are live ones without a quote.
LEFT_OUT = ("merchant_id", "quote_id", "test_scenario")


@dataclass(slots=True)
class ForMerchant:
    """A user of the staff who places live orders of this merchant: a `Caller`."""

    user: User
    merchant: Merchant
    role: str = field(default=Role.MERCHANT, init=False)
    merchant_id: UUID | None = field(init=False)

    def __post_init__(self) -> None:
        self.merchant_id = self.merchant.pk

    @property
    def is_authenticated(self) -> bool:
        return True

    @property
    def live_mode(self) -> bool:
        return True

    @property
    def actor(self) -> Actor:
        return self.user.actor


class FileForm(forms.Form):
    merchant = forms.ModelChoiceField(
        Merchant.objects.filter(active=True).order_by("name"),
        help_text="All orders of the file are placed for this merchant, as live orders.",
    )
    file = forms.FileField(
        help_text=f"CSV or JSON, at most {reading.MAX_ROWS:,} orders "
        f"and {reading.MAX_BYTES // 1_000_000} MB.",
        widget=forms.FileInput(attrs={"accept": ".csv,.json,text/csv,application/json"}),
    )


@require_http_methods(["GET", "HEAD", "POST"])
def upload(request: HttpRequest) -> HttpResponse:
    user = _staff(request)
    is_posted = request.method == "POST"
    form = FileForm(request.POST, request.FILES) if is_posted else FileForm()
    status = 200
    if is_posted and form.is_valid():
        file, caller = form.cleaned_data["file"], ForMerchant(user, form.cleaned_data["merchant"])
        try:
            content = file.read(reading.MAX_BYTES + 1)
            import_id = imports.keep(file.name or "file", content, caller)
            return HttpResponseRedirect(_preview_url(caller, import_id))
        except Problem as refused:
            form.add_error("file", refused.detail)
            status = refused.status
    columns = [name for name in imports.COLUMNS.names if name not in LEFT_OUT]
    context = {
        "title": "Orders from a file",
        "form": form,
        "required": imports.REQUIRED,
        "optional": [name for name in columns if name not in imports.REQUIRED],
    }
    return _page(request, "console/import_upload.html", context, status)


@require_http_methods(["GET", "HEAD", "POST"])
def preview(request: HttpRequest, merchant_id: UUID, import_id: UUID) -> HttpResponse:
    """Every row as it would be placed now. A POST places them: `place` is `all` or `good`."""
    user = _staff(request)
    merchant = Merchant.objects.filter(pk=merchant_id, active=True).first()
    if merchant is None:
        raise Http404("There is no such merchant.")
    caller = ForMerchant(user, merchant)
    try:
        if request.method != "POST":
            return _preview_page(request, caller, imports.preview(import_id, caller))
        # A second confirmation finds the orders of the first one, and places none.
        after = imports.place(import_id, caller, only_good=request.POST.get("place") == "good")
    except imports.NotPlaced as refused:
        return _preview_page(request, caller, refused.preview, refused)
    except Problem as refused:
        context = {"title": "Orders from a file", "refused": refused.detail}
        return _page(request, "console/import_gone.html", context, refused.status)
    return _placed_page(request, caller, after)


def _staff(request: HttpRequest) -> Any:
    user = request.user
    if not user.has_perm(PERMISSION):
        raise PermissionDenied
    return user


def _preview_url(caller: ForMerchant, import_id: UUID) -> str:
    return reverse("admin:orders_order_import_preview", args=[caller.merchant.pk, import_id])


def _preview_page(
    request: HttpRequest,
    caller: ForMerchant,
    found: imports.Preview,
    refused: Problem | None = None,
) -> HttpResponse:
    context = {
        "title": f"{found.name} for {caller.merchant}",
        "refused": refused.detail if refused else "",
        "found": found,
        "good": [_row(row) for row in found.good[:MAX_SHOWN]],
        "more": max(0, len(found.good) - MAX_SHOWN),
    }
    status = refused.status if refused else 200
    return _page(request, "console/import_preview.html", context, status)


def _placed_page(request: HttpRequest, caller: ForMerchant, after: imports.Preview) -> HttpResponse:
    """Rendered without a redirect: the codes of the orders are shown only once."""
    context = {
        "title": f"{len(after.placed)} orders are placed for {caller.merchant}",
        "placed": [{**_row(row), "url": actions.page_of(row.order)} for row in after.placed],
        "found": after,
        "has_codes": any(row.order.otp_code for row in after.placed),
        "list_url": f"{reverse('admin:orders_order_changelist')}"
        f"?merchant__id__exact={caller.merchant.pk}",
    }
    return _page(request, "console/import_placed.html", context, 201)


def _row(row: imports.Row) -> dict[str, Any]:
    order: Order = row.order
    return {
        "number": row.number,
        "order": order,
        "customer": order.customer_name or order.customer_phone or "—",
        "pickup": order.pickup_name or f"{order.pickup_lat:.5f}, {order.pickup_lng:.5f}",
        "dropoff": f"{order.dropoff_lat:.5f}, {order.dropoff_lng:.5f}",
        "promise": presentation.promise(order, timezone.now())[0],
    }


def _page(
    request: HttpRequest, template: str, context: dict[str, Any], status: int
) -> HttpResponse:
    context = {**admin.site.each_context(request), **context}
    return TemplateResponse(request, template, context, status=status)
