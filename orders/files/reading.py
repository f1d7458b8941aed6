"""Orders in a CSV or JSON file, as the bodies that `POST /orders` takes. Pure.

CSV: a line of names, as in the API, then a line for each order; `,` or `;` between cells, numbers
with a decimal point, with `;` also with a comma. An empty cell is a member that is not given. A
member of a member has a dot: `metadata.shelf`. JSON: a list of orders, or an object with the list
`orders`.
"""

import csv
import json
from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from io import StringIO
from typing import Any

from rest_framework.exceptions import ParseError

from orders.files import cells
from wingxtra.api.parsers import decode
from wingxtra.problems import FieldProblem, Problem

MAX_ROWS = 1_000
MAX_BYTES = 2_000_000
MAX_MEMBERS = MAX_ROWS * 60
MAX_VALUES = 2 * MAX_MEMBERS
BOM = "\ufeff"
SEPARATORS = (";", ",")


class Unreadable(Problem):
    """Nothing of the file can be read. The detail says what to mend."""

    title = "The file cannot be read"


@dataclass(frozen=True, slots=True)
class Columns:
    """`names`: all columns that a file may have; `numbers`: those of numbers. `objects`: members
    that hold texts by any name, each in a column like `metadata.shelf`.
    """

    names: tuple[str, ...]
    numbers: frozenset[str] = frozenset()
    objects: tuple[str, ...] = ()

    def known(self, written: str) -> str | None:
        """The column of this name, in any letter case; None if there is no such column."""
        name, dot, inner = written.strip().partition(".")
        if dot and inner and name.lower() in self.objects:
            return f"{name.lower()}.{inner}"
        lower = written.strip().lower()
        return lower if lower in self.names else None


@dataclass(frozen=True, slots=True)
class Row:
    """`number`: the line of the CSV file where it begins, or the place in the JSON list, from 1.

    `values`: a body of `POST /orders`. `problems`: of the row itself; it has no values then.
    """

    number: int
    values: Mapping[str, Any] = field(default_factory=dict)
    problems: list[FieldProblem] = field(default_factory=list)


def read(content: bytes, columns: Columns) -> list[Row]:
    """The orders of a file. Raises Unreadable: no UTF-8, too large, too many or no rows, unknown
    columns, broken JSON.
    """
    if len(content) > MAX_BYTES:
        detail = f"The file has more than {MAX_BYTES // 1_000_000} MB. Divide it."
        raise Unreadable("file_too_large", detail)
    text = _text(content).removeprefix(BOM)
    if not text.strip():
        raise Unreadable("file_empty", "The file is empty.")
    is_json = text.lstrip().startswith(("[", "{"))
    rows = _json_rows(text) if is_json else _csv_rows(text, columns)
    if not rows:
        raise Unreadable("file_empty", "The file has no orders.")
    if len(rows) > MAX_ROWS:
        detail = f"The file has {len(rows):,} orders; {MAX_ROWS:,} is the most. Divide it."
        raise Unreadable("too_many_rows", detail)
    return rows


def _text(content: bytes) -> str:
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        detail = (
            f"The file is not UTF-8: see line {line}. In a spreadsheet, save it as “CSV UTF-8”."
        )
        raise Unreadable("not_utf8", detail) from error


# --- CSV -----------------------------------------------------------------------------------------


def _csv_rows(text: str, columns: Columns) -> list[Row]:
    first_line = text.partition("\n")[0]
    separator = max(SEPARATORS, key=first_line.count)
    lines = csv.reader(StringIO(text, newline=""), delimiter=separator, strict=True)
    rows: list[Row] = []
    names: list[str] = []
    begins_at = 1
    try:
        for line in lines:
            if any(cell.strip() for cell in line):
                if names:
                    rows.append(_csv_row(begins_at, line, names, columns.numbers, separator))
                else:
                    names = _header(line, columns)
            begins_at = lines.line_num + 1
    except csv.Error as error:
        detail = f"Line {begins_at} is not CSV: {error}. Is a quotation mark missing?"
        raise Unreadable("not_csv", detail) from error
    return rows


def _header(line: list[str], columns: Columns) -> list[str]:
    while not line[-1].strip():
        line = line[:-1]
    names = [(cell, columns.known(cell)) for cell in line]
    if unknown := [cell.strip()[:40] for cell, name in names if name is None]:
        shown = ", ".join(f"“{name}”" for name in unknown[:5])
        there_are = [*columns.names, *[f"{name}.…" for name in columns.objects]]
        detail = (
            f"The first line names the columns. It has {shown}, which we do not know. "
            f"There are {', '.join(there_are)}."
        )
        raise Unreadable("column_unknown", detail)
    known = [name for _, name in names if name]
    if twice := [name for name, count in Counter(known).items() if count > 1]:
        raise Unreadable("column_twice", f"The column “{twice[0]}” is there twice.")
    return known


def _csv_row(
    number: int, line: list[str], names: list[str], numbers: Collection[str], separator: str
) -> Row:
    if any(cell.strip() for cell in line[len(names) :]):
        message = f"It has {len(line)} cells, but the first line names {len(names)} columns."
        return Row(number, problems=[FieldProblem("", "too_many_cells", message)])
    values: dict[str, Any] = {}
    for name, cell in zip(names, map(cells.original, line), strict=False):
        if not cell:
            continue
        value: Any = cell
        if name in numbers:
            value = cells.number_or_text(cell, decimal_comma=separator == ";")
        outer, dot, inner = name.partition(".")
        if dot:
            values.setdefault(outer, {})[inner] = value
        else:
            values[name] = value
    return Row(number, values)


# --- JSON ----------------------------------------------------------------------------------------


def _json_rows(text: str) -> list[Row]:
    is_list = text.lstrip().startswith("[")
    try:
        whole = f'{{"orders":{text}}}' if is_list else text
        found = decode(whole.encode(), max_members=MAX_MEMBERS, max_values=MAX_VALUES)
    except ParseError as error:
        detail = str(error.detail).replace("The body", "The file", 1)
        raise Unreadable("not_json", detail) from error
    orders = found.get("orders")
    if not isinstance(orders, list) or set(found) != {"orders"}:
        detail = "A JSON file is a list of orders, or an object with nothing but the list “orders”."
        raise Unreadable("not_json", detail)
    return [
        Row(number, values)
        if isinstance(values, dict)
        else Row(number, problems=[FieldProblem("", "invalid", f"{_short(values)} is no order.")])
        for number, values in enumerate(orders, start=1)
    ]


def _short(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)[:40]
