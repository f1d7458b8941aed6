"""The label as PDF: the same lines and the same QR code, on one page of the label's size."""

from io import BytesIO
from itertools import groupby
from pathlib import Path
from typing import Any

from reportlab.lib.units import mm
from reportlab.pdfbase import pdfmetrics
from reportlab.pdfbase.ttfonts import TTFont
from reportlab.pdfgen.canvas import Canvas

from orders.loading.label import HEIGHT_MM, MARGIN_MM, QR_MM, WIDTH_MM, Label, Line

# The fonts of PDF itself know Western letters only; names here have others, as in “Ɛfua”.
FONT = "DejaVuSans"
pdfmetrics.registerFont(TTFont(FONT, Path(__file__).parent / "fonts" / f"{FONT}.ttf"))
FILLED_AND_STROKED = 2
BOLD_STROKE = 0.04  # of the size of the letters


def pdf(label: Label) -> bytes:
    """The same bytes for the same label."""
    file = BytesIO()
    canvas = Canvas(file, pagesize=(WIDTH_MM * mm, HEIGHT_MM * mm), invariant=1)
    canvas.setTitle(label.title)
    _draw_code(canvas, label.code.matrix)
    for line in label.lines:
        if line.text:
            _draw_line(canvas, line)
    canvas.save()
    return file.getvalue()


def _draw_code(canvas: Canvas, matrix: Any) -> None:
    """One rectangle per run of dark modules: no printer shows gaps within a run."""
    side = QR_MM * mm / len(matrix)
    left, top = MARGIN_MM * mm, (HEIGHT_MM - MARGIN_MM) * mm
    for y, row in enumerate(matrix):
        x = 0
        for is_dark, run in groupby(row):
            width = len(list(run))
            if is_dark:
                canvas.rect(left + x * side, top - (y + 1) * side, width * side, side, 0, 1)
            x += width


def _draw_line(canvas: Canvas, line: Line) -> None:
    size = line.size_mm * mm
    width = pdfmetrics.stringWidth(line.text, FONT, size)
    room = line.fill_mm * mm or min(width, (WIDTH_MM - MARGIN_MM - line.x) * mm)
    canvas.saveState()  # the way that letters are drawn would stay for the next line
    text = canvas.beginText(line.x * mm, (HEIGHT_MM - line.y) * mm)
    text.setFont(FONT, size)
    text.setHorizScale(100 * room / width)
    canvas.setLineWidth(BOLD_STROKE * size)
    if line.bold:
        text.setTextRenderMode(FILLED_AND_STROKED)
    text.textOut(line.text)
    canvas.drawText(text)
    canvas.restoreState()
