"""The label of a parcel as SVG, 100 mm by 62 mm. Pure.

Its QR code opens `/load/scan/<order id>`, which requires a log-in. The complete tracking id is not
on the label, because it gives access to the customer's page.
"""

from html import escape
from typing import Any

import segno

from orders.models import Order

WIDTH_MM, HEIGHT_MM = 100, 62
QR_MM = 40
# Letters on a line: more than the first are drawn narrower, more than the second are cut off.
LETTERS_THAT_FIT, MAX_LETTERS = 32, 48
FONT = "font-family='Helvetica, Arial, sans-serif'"


def svg(order: Order, scan_url: str) -> str:
    """Uses attributes only: the Content-Security-Policy of the answer allows no style."""
    x = QR_MM + 10
    lines = [
        _text(x, 8.5, 3.2, "Wingxtra Delivery"),
        _text(x, 18, 8, order.short_id, bold=True, fill_mm=45),
        _text(x, 29, 4.6, f"{order.get_payload_type_display()}, {order.payload_weight_kg:g} kg"),
        _text(x, 36, 4.6, _urgency(order), bold=True),
        _text(5, 52, 4, **_fitted(f"From {_pickup(order)}")),
        _text(5, 58, 4, **_fitted(f"Ref. {order.external_id}" if order.external_id else "")),
    ]
    code = segno.make(scan_url, error="m").svg_inline(border=0, omitsize=True)
    return (
        f"<svg xmlns='http://www.w3.org/2000/svg' width='{WIDTH_MM}mm' height='{HEIGHT_MM}mm' "
        f"viewBox='0 0 {WIDTH_MM} {HEIGHT_MM}'>"
        f"<title>Label of parcel {order.short_id}</title>"
        f"<rect width='{WIDTH_MM}' height='{HEIGHT_MM}' fill='#fff'/>"
        f"<svg x='5' y='5' width='{QR_MM}' height='{QR_MM}'>{code}</svg>"
        f"{''.join(lines)}</svg>"
    )


def _urgency(order: Order) -> str:
    return "" if order.priority == "NORMAL" else order.get_priority_display()


def _pickup(order: Order) -> str:
    if order.holder_hub is not None:
        return order.holder_hub.name
    return order.pickup_name or f"{order.pickup_lat:.4f}, {order.pickup_lng:.4f}"


def _text(
    x: float, y: float, size_mm: float, text: str, *, bold: bool = False, fill_mm: float = 0
) -> str:
    """`fill_mm`: the width of the text in any font; 0 for its natural width."""
    weight = " font-weight='700'" if bold else ""
    width = f" textLength='{fill_mm}' lengthAdjust='spacingAndGlyphs'" if fill_mm else ""
    return (
        f"<text x='{x}' y='{y}' {FONT} font-size='{size_mm}'{weight}{width} fill='#000'>"
        f"{escape(text)}</text>"
    )


def _fitted(text: str) -> dict[str, Any]:
    """Arguments of `_text` for one line. Drops control characters, which XML does not allow."""
    printable = "".join(letter for letter in text if letter.isprintable())
    if len(printable) > MAX_LETTERS:
        printable = f"{printable[: MAX_LETTERS - 1]}…"
    width_mm = WIDTH_MM - 10 if len(printable) > LETTERS_THAT_FIT else 0
    return {"text": printable, "fill_mm": width_mm}
