"""Figures in columns, each row as soon as it is known."""

from collections.abc import Sequence


def row(widths: Sequence[int], cells: Sequence[object]) -> None:
    first, *others = (str(cell).rjust(width) for cell, width in zip(cells, widths, strict=False))
    print(first.strip().ljust(widths[0]), *others, flush=True)
