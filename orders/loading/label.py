"""The label of a parcel, 100 mm by 62 mm: what is on it, and as SVG. Pure.

Its QR code opens `/load/scan/<order id>`, which requires a log-in. The complete tracking id is not
on the label, because it gives access to the customer's page.
"""

from dataclasses import dataclass
from html import escape
from typing import Any

import segno

from orders.models import Order

WIDTH_MM, HEIGHT_MM = 100, 62
MARGIN_MM, QR_MM = 5, 40
# Letters on a line: more than the first are drawn narrower, more than the second are cut off.
LETTERS_THAT_FIT, MAX_LETTERS = 32, 48
FONT = "font-family='Helvetica, Arial, sans-serif'"


@dataclass(frozen=True, slots=True)
class Line:
    """A line of text; x and y are where its baseline starts, in mm from the top left.

    fill_mm: its width in any font; 0 for the natural one.
    """

    x: float
    y: float
    size_mm: float
    text: str
    bold: bool = False
    fill_mm: float = 0


@dataclass(frozen=True, slots=True)
class Label:
    """`code`: the QR code at the top left, QR_MM wide, MARGIN_MM from both edges."""

    title: str
    code: Any
    lines: tuple[Line, ...]


def compose(order: Order, scan_url: str) -> Label:
    x = QR_MM + 2 * MARGIN_MM
    lines = (
        Line(x, 8.5, 3.2, "Wingxtra Delivery"),
        Line(x, 18, 8, order.short_id, bold=True, fill_mm=WIDTH_MM - x - MARGIN_MM),
        Line(x, 29, 4.6, f"{order.get_payload_type_display()}, {order.payload_weight_kg:g} kg"),
        Line(x, 36, 4.6, _urgency(order), bold=True),
        _fitted(52, f"From {_pickup(order)}"),
        _fitted(58, f"Ref. {order.external_id}" if order.external_id else ""),
    )
    code = segno.make(scan_url, error="m")
    return Label(f"Label of parcel {order.short_id}", code, lines)


def svg(label: Label) -> str:
    """Uses attributes only: the Content-Security-Policy of the answer allows no style."""
    code = label.code.svg_inline(border=0, omitsize=True)
    return (
        f"<svg xmlns='http://www.w3.org/2000/svg' width='{WIDTH_MM}mm' height='{HEIGHT_MM}mm' "
        f"viewBox='0 0 {WIDTH_MM} {HEIGHT_MM}'>"
        f"<title>{label.title}</title>"
        f"<rect width='{WIDTH_MM}' height='{HEIGHT_MM}' fill='#fff'/>"
        f"<svg x='{MARGIN_MM}' y='{MARGIN_MM}' width='{QR_MM}' height='{QR_MM}'>{code}</svg>"
        f"{''.join(_text(line) for line in label.lines)}</svg>"
    )


def _urgency(order: Order) -> str:
    return "" if order.priority == "NORMAL" else order.get_priority_display()


def _pickup(order: Order) -> str:
    if order.holder_hub is not None:
        return order.holder_hub.name
    return order.pickup_name or f"{order.pickup_lat:.4f}, {order.pickup_lng:.4f}"


def _fitted(y: float, text: str) -> Line:
    """A line of the whole width. Drops control characters, which XML does not allow."""
    printable = "".join(letter for letter in text if letter.isprintable())
    if len(printable) > MAX_LETTERS:
        printable = f"{printable[: MAX_LETTERS - 1]}…"
    width_mm = WIDTH_MM - 2 * MARGIN_MM if len(printable) > LETTERS_THAT_FIT else 0
    return Line(MARGIN_MM, y, 4, printable, fill_mm=width_mm)


def _text(line: Line) -> str:
    weight = " font-weight='700'" if line.bold else ""
    fill = f" textLength='{line.fill_mm}' lengthAdjust='spacingAndGlyphs'" if line.fill_mm else ""
    return (
        f"<text x='{line.x}' y='{line.y}' {FONT} font-size='{line.size_mm}'{weight}{fill} "
        f"fill='#000'>{escape(line.text)}</text>"
    )
