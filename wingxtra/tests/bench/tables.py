"""Tables of measurements: each row is printed as soon as it is measured, with a mark on a value
over its budget.

`make bench` runs its parts as processes whose output is a log. They print tables into the pipe that
BENCH_TABLES names by its file descriptor; without it, as under `pytest -m bench -s`, into standard
output.
"""

import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass

PIPE = "BENCH_TABLES"
MARK = "over budget:"


@dataclass(frozen=True, slots=True)
class Figure:
    """A measured value. `spec` formats it and its budget: ".1f", ".0%"."""

    value: float
    spec: str = ".0f"
    at_most: float | None = None
    at_least: float | None = None

    def __str__(self) -> str:
        return format(self.value, self.spec)

    @property
    def missed(self) -> str:
        """The missed budget, as "> 300"; empty if it is kept."""
        if self.at_most is not None and self.value > self.at_most:
            return f"> {format(self.at_most, self.spec)}"
        if self.at_least is not None and self.value < self.at_least:
            return f"< {format(self.at_least, self.spec)}"
        return ""


class Table:
    """Columns with their units as headings. The first one is text, aligned left."""

    def __init__(self, title: str, headings: Sequence[str], *, first_width: int = 36) -> None:
        self.title = title
        self.headings = headings
        self.widths = [first_width, *(max(len(heading), 6) for heading in headings[1:])]
        self.is_begun = False

    def row(self, *cells: object) -> None:
        """`cells` are figures or text. The title and the headings come with the first row."""
        if not self.is_begun:
            self.is_begun = True
            write(f"\n{self.title}\n\n{self._line(self.headings)}")
            write(self._line(["-" * width for width in self.widths]))
        missed = [
            f"{heading} {cell} {cell.missed}"
            for heading, cell in zip(self.headings, cells, strict=True)
            if isinstance(cell, Figure) and cell.missed
        ]
        mark = f"  {MARK} {', '.join(missed)}" if missed else ""
        write(self._line(cells) + mark)

    def _line(self, cells: Sequence[object]) -> str:
        first, *others = (str(cell) for cell in cells)
        aligned = [cell.rjust(width) for cell, width in zip(others, self.widths[1:], strict=True)]
        return "  ".join([first.ljust(self.widths[0]), *aligned]).rstrip()


def write(lines: str) -> None:
    if PIPE in os.environ:
        os.write(int(os.environ[PIPE]), f"{lines}\n".encode())
    else:
        print(lines, file=sys.stdout, flush=True)
