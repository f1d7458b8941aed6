"""Orders in a CSV or JSON file, as the bodies that `POST /orders` takes. Pure.

CSV: a line of names, as in the API, then a line for each order; `,` or `;` between cells, numbers
with a decimal point, with `;` also with a comma. An empty cell is a member that is not given. JSON:
a list of orders, or an object with the list `orders`.
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
BOM = "\ufeff"
SEPARATORS = (";", ",")


class Unreadable(Problem):
    """Nothing of the file can be read. The detail says what to mend."""

    title = "The file cannot be read"


@dataclass(frozen=True, slots=True)
class Row:
    """`number`: the line of the CSV file where it begins, or the place in the JSON list, from 1.

    `values`: a body of `POST /orders`. `problems`: of the row itself; it has no values then.
    """

    number: int
    values: Mapping[str, Any] = field(default_factory=dict)
    problems: list[FieldProblem] = field(default_factory=list)


def read(content: bytes, *, columns: Collection[str], numbers: Collection[str]) -> list[Row]:
    """The orders of a file. `columns`: the names that it may have; `numbers`: those of numbers.

    Raises Unreadable: no UTF-8, too large, too many rows, no rows, unknown columns, broken JSON.
    """
    if len(content) > MAX_BYTES:
        detail = f"The file has more than {MAX_BYTES // 1_000_000} MB. Divide it."
        raise Unreadable("file_too_large", detail)
    text = _text(content).removeprefix(BOM)
    if not text.strip():
        raise Unreadable("file_empty", "The file is empty.")
    if text.lstrip().startswith(("[", "{")):
        rows = _json_rows(text)
    else:
        rows = _csv_rows(text, columns, numbers)
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


def _csv_rows(text: str, columns: Collection[str], numbers: Collection[str]) -> list[Row]:
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
                    rows.append(_csv_row(begins_at, line, names, numbers, separator))
                else:
                    names = _header(line, columns)
            begins_at = lines.line_num + 1
    except csv.Error as error:
        detail = f"Line {begins_at} is not CSV: {error}. Is a quotation mark missing?"
        raise Unreadable("not_csv", detail) from error
    return rows


def _header(line: list[str], columns: Collection[str]) -> list[str]:
    names = [cell.strip().lower() for cell in line]
    while names and not names[-1]:
        names.pop()
    if unknown := [name for name in names if name not in columns]:
        shown = ", ".join(f"“{name[:40]}”" for name in unknown[:5])
        detail = (
            f"The first line names the columns. It has {shown}, which we do not know. "
            f"There are {', '.join(columns)}."
        )
        raise Unreadable("column_unknown", detail)
    if twice := [name for name, count in Counter(names).items() if count > 1]:
        raise Unreadable("column_twice", f"The column “{twice[0]}” is there twice.")
    return names


def _csv_row(
    number: int, line: list[str], names: list[str], numbers: Collection[str], separator: str
) -> Row:
    if any(cell.strip() for cell in line[len(names) :]):
        message = f"It has {len(line)} cells, but the first line names {len(names)} columns."
        return Row(number, problems=[FieldProblem("", "too_many_cells", message)])
    values: dict[str, Any] = {}
    for name, cell in zip(names, map(cells.original, line), strict=False):
        if name in numbers and cell:
            values[name] = cells.number_or_text(cell, decimal_comma=separator == ";")
        elif cell:
            values[name] = cell
    return Row(number, values)


# --- JSON ----------------------------------------------------------------------------------------


def _json_rows(text: str) -> list[Row]:
    is_list = text.lstrip().startswith("[")
    try:
        found = decode((f'{{"orders":{text}}}' if is_list else text).encode())
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
