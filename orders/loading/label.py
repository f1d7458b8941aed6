"""The label of a parcel as SVG, 100 mm by 62 mm. Pure.

Its QR code opens `/load/scan/<order id>`, which asks for a log-in. The tracking id is not on it:
who has that one can follow the delivery and receive it.
"""

from html import escape
from typing import Any

import segno

from orders import tracking_ids
from orders.models import Order

WIDTH_MM, HEIGHT_MM = 100, 62
QR_MM = 40
LETTERS_THAT_FIT, MOST_LETTERS = 32, 48  # on a line; in between it is drawn narrower
FONT = "font-family='Helvetica, Arial, sans-serif'"


def svg(order: Order, scan_url: str) -> str:
    """Drawn by attributes alone: the answer's policy allows no style."""
    x = QR_MM + 10
    about = [
        _text(x, 8.5, 3.2, "Wingxtra Delivery"),
        _text(x, 18, 8, tracking_ids.short(order.public_tracking_id), bold=True, fill_mm=45),
        _text(x, 29, 4.6, f"{order.get_payload_type_display()}, {order.payload_weight_kg:g} kg"),
        _text(x, 36, 4.6, _urgency(order), bold=True),
        _text(5, 52, 4, **_fitted(f"From {_pickup(order)}")),
        _text(5, 58, 4, **_fitted(f"Ref. {order.external_id}" if order.external_id else "")),
    ]
    code = segno.make(scan_url, error="m").svg_inline(border=0, omitsize=True)
    return (
        f"<svg xmlns='http://www.w3.org/2000/svg' width='{WIDTH_MM}mm' height='{HEIGHT_MM}mm' "
        f"viewBox='0 0 {WIDTH_MM} {HEIGHT_MM}'>"
        f"<title>Label of parcel {tracking_ids.short(order.public_tracking_id)}</title>"
        f"<rect width='{WIDTH_MM}' height='{HEIGHT_MM}' fill='#fff'/>"
        f"<svg x='5' y='5' width='{QR_MM}' height='{QR_MM}'>{code}</svg>"
        f"{''.join(about)}</svg>"
    )


def _urgency(order: Order) -> str:
    return "" if order.priority == "NORMAL" else order.get_priority_display()


def _pickup(order: Order) -> str:
    if order.holder_hub is not None:
        return order.holder_hub.name
    return order.pickup_name or f"{order.pickup_lat:.4f}, {order.pickup_lng:.4f}"


def _text(
    x: float, y: float, size_mm: float, words: str, *, bold: bool = False, fill_mm: float = 0
) -> str:
    """`fill_mm`: how wide it is drawn, whatever font the printer has; 0 for as wide as it is."""
    weight = " font-weight='700'" if bold else ""
    width = f" textLength='{fill_mm}' lengthAdjust='spacingAndGlyphs'" if fill_mm else ""
    return (
        f"<text x='{x}' y='{y}' {FONT} font-size='{size_mm}'{weight}{width} fill='#000'>"
        f"{escape(words)}</text>"
    )


def _fitted(words: str) -> dict[str, Any]:
    """On one line. What is not printable is no XML either."""
    plain = "".join(letter for letter in words if letter.isprintable())
    if len(plain) > MOST_LETTERS:
        plain = f"{plain[: MOST_LETTERS - 1]}…"
    return {"words": plain, "fill_mm": WIDTH_MM - 10 if len(plain) > LETTERS_THAT_FIT else 0}
