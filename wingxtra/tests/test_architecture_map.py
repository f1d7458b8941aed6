"""The map of docs/architecture.md names existing files and definitions."""

import ast
import re

import pytest
from django.conf import settings

ROW = re.compile(r"^\| (.+?\?) \| `(\S+\.py)` \| `(\w+)` \|$", re.M)
ROWS = ROW.findall((settings.BASE_DIR / "docs" / "architecture.md").read_text())


def test_the_map_answers_at_least_40_questions() -> None:
    questions = [question for question, _, _ in ROWS]
    assert len(questions) >= 40
    assert len(set(questions)) == len(questions)


@pytest.mark.parametrize(("question", "file", "name"), ROWS)
def test_the_file_defines_the_name(question: str, file: str, name: str) -> None:
    path = settings.BASE_DIR / file
    assert path.is_file(), f"{file} does not exist: {question}"
    defined = {
        node.name
        for node in ast.parse(path.read_text()).body
        if isinstance(node, ast.FunctionDef | ast.ClassDef)
    }
    assert name in defined, f"{file} does not define {name}: {question}"
