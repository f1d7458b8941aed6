"""Orders from a file: uploaded, looked at row by row, then placed."""

from datetime import datetime
from typing import Any
from uuid import UUID

from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.views.decorators.http import require_http_methods, require_safe

from orders.api.serializers import order_json
from orders.files import imports, reading
from tracking.merchant import frame, words
from tracking.merchant.access import PageCaller, merchant_page
from wingxtra.api import once
from wingxtra.problems import NotFound, Problem

# A new order may have them, and a merchant's file needs none of them.
RARE = ("merchant_id", "quote_id", "dropoff_captured_at", "dropoff_source", "dropoff_accuracy_m")
ONLY_IN_TESTS = ("test_scenario",)
# Longer than 1,000 orders take.
MAX_WAIT_S = 30.0


@require_http_methods(["GET", "HEAD", "POST"])
@merchant_page
def import_orders(request: HttpRequest, caller: PageCaller) -> HttpResponse:
    if request.method != "POST":
        return _upload_page(request, caller)
    file = request.FILES.get("file")
    try:
        if file is None:
            raise reading.Unreadable("file_missing", "Choose a file first.")
        content = file.read(reading.MAX_BYTES + 1)
        import_id = imports.keep(file.name or "file", content, caller)
    except reading.Unreadable as refused:
        return _upload_page(request, caller, refused)
    return frame.see_other(frame.address(request, "import-preview", import_id))


@require_http_methods(["GET", "HEAD", "POST"])
@merchant_page
def import_preview(request: HttpRequest, caller: PageCaller, import_id: UUID) -> HttpResponse:
    """The rows as they would be placed now. A POST places them: `place` is `all` or `good`."""
    if request.method != "POST":
        return _preview_page(request, imports.preview(import_id, caller))

    def place() -> HttpResponse:
        return _place(request, caller, import_id)

    try:
        return once.once(request, caller.key, place, max_wait_s=MAX_WAIT_S)
    except NotFound:
        raise
    except Problem as refused:
        return _preview_page(request, imports.preview(import_id, caller), refused)


@require_safe
@merchant_page
def import_template(request: HttpRequest, caller: PageCaller) -> HttpResponse:
    """A CSV file with nothing but the names of the columns."""
    answer = HttpResponse("\ufeff" + ",".join(_columns(caller)) + "\r\n", "text/csv; charset=utf-8")
    answer["Content-Disposition"] = 'attachment; filename="orders.csv"'
    return answer


def _columns(caller: PageCaller) -> list[str]:
    left_out = RARE if not caller.live_mode else (*RARE, *ONLY_IN_TESTS)
    return [name for name in imports.COLUMNS.names if name not in left_out]


def _upload_page(
    request: HttpRequest, caller: PageCaller, refused: Problem | None = None
) -> HttpResponse:
    context = {
        "title": "Orders from a file",
        "refused": refused.detail if refused else "",
        "required": imports.REQUIRED,
        "optional": [name for name in _columns(caller) if name not in imports.REQUIRED],
        "objects": imports.COLUMNS.objects,
        "max_rows": f"{reading.MAX_ROWS:,}",
        "max_mb": reading.MAX_BYTES // 1_000_000,
    }
    status = refused.status if refused else 200
    return frame.page(request, "import_orders.html", context, status=status)


def _place(request: HttpRequest, caller: PageCaller, import_id: UUID) -> HttpResponse:
    """Rendered without a redirect: the codes of the orders are shown only once."""
    try:
        after = imports.place(import_id, caller, only_good=request.POST.get("place") == "good")
    except imports.NotPlaced as refused:
        return _preview_page(request, refused.preview, refused)
    now = timezone.now()
    context = {
        "title": "The orders are placed",
        "rows": [_placed_row(request, caller, row, now) for row in after.placed],
        "bad": [_bad_row(row) for row in after.bad],
        "has_codes": any(row.order.otp_code for row in after.placed),
    }
    return frame.page(request, "imported.html", context, section="import-orders", status=201)


def _preview_page(
    request: HttpRequest, preview: imports.Preview, refused: Problem | None = None
) -> HttpResponse:
    now = timezone.now()
    context = {
        "title": preview.name,
        "token": once.new_token(),
        "refused": refused.detail if refused else "",
        "count": len(preview.rows),
        "good": [_good_row(row, now) for row in preview.good],
        "bad": [_bad_row(row) for row in preview.bad],
        "placed": len(preview.placed),
    }
    status = refused.status if refused else 200
    section = "import-orders"
    return frame.page(request, "import_preview.html", context, section=section, status=status)


# --- rows ----------------------------------------------------------------------------------------


def _bad_row(row: imports.Row) -> dict[str, Any]:
    return {
        "number": row.number,
        "external_id": row.order.external_id or "",
        "problems": row.problems,
    }


def _good_row(row: imports.Row, now: datetime) -> dict[str, Any]:
    order = row.order
    window = f"by {words.clock(order.deliver_by, now)}"
    if order.not_before:
        window = f"{words.clock(order.not_before, now)} – {words.clock(order.deliver_by, now)}"
    return {
        "number": row.number,
        "external_id": order.external_id or "",
        "customer": order.customer_name or order.customer_phone or "—",
        "pickup": order.pickup_name or f"{order.pickup_lat:.5f}, {order.pickup_lng:.5f}",
        "dropoff": f"{order.dropoff_lat:.5f}, {order.dropoff_lng:.5f}",
        "window": window,
    }


def _placed_row(
    request: HttpRequest, caller: PageCaller, row: imports.Row, now: datetime
) -> dict[str, Any]:
    body = order_json(row.order, caller, now, in_full=False)
    return {
        "number": row.number,
        "url": frame.address(request, "order", row.order.pk),
        "name": words.name(body),
        "tracking_id": words.grouped(row.order.public_tracking_id),
        "tracking_url": body["tracking_url"],
        "otp_code": row.order.otp_code or "",
    }
