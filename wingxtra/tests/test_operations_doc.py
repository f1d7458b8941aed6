"""docs/operations.md has a row for every setting, and no others."""

import ast
import re
from typing import Any

from django.conf import settings

DOC = settings.BASE_DIR / "docs" / "operations.md"


def knobs() -> dict[str, ast.expr | None]:
    """Each environment variable of settings.py, with the expression of its default."""
    tree = ast.parse((settings.BASE_DIR / "wingxtra" / "settings.py").read_text())
    found = {}
    for node in ast.walk(tree):
        match node:
            case ast.Call(
                func=ast.Attribute(value=ast.Name(id="env")),
                args=[ast.Constant(value=str(name)), *_],
                keywords=keywords,
            ):
                found[name] = next((k.value for k in keywords if k.arg == "default"), None)
    return found


def rows(heading: str) -> dict[str, list[str]]:
    """The table below a heading: first column -> the other columns."""
    section = DOC.read_text().partition(f"## {heading}\n")[2].partition("\n## ")[0]
    lines = [line.strip("| ").split(" | ") for line in section.splitlines() if line[:3] == "| `"]
    return {first.strip("`"): [cell.strip() for cell in rest] for first, *rest in lines}


def written(value: Any) -> str:
    """A default in the table's notation."""
    return "empty" if value == "" else f"`{value}`"


def test_every_setting_has_a_row_and_every_row_a_setting():
    assert sorted(rows("Settings")) == sorted(knobs())


def test_every_row_has_the_default_of_the_code():
    table = rows("Settings")
    wrong = {
        name: table[name][0]
        for name, default in knobs().items()
        if isinstance(default, ast.Constant | ast.List)
        and (table[name][0][0] == "`" or table[name][0] == "empty")  # others describe it
        and table[name][0] != written(ast.literal_eval(default))
    }
    assert wrong == {}


def test_every_setting_is_explained():
    assert [name for name, (_, what) in rows("Settings").items() if len(what) < 10] == []


def test_every_check_of_production_has_a_row():
    code = (settings.BASE_DIR / "wingxtra" / "checks.py").read_text()
    assert sorted(rows("What production refuses")) == sorted(re.findall(r"wingxtra\.E\d+", code))
