"""docs/security/asvs.md has each requirement of levels 1 and 2 once, and names existing tests."""

import ast
import re
from collections import Counter
from dataclasses import dataclass

import pytest
from django.conf import settings

PAGE = (settings.BASE_DIR / "docs" / "security" / "asvs.md").read_text()
# For each chapter of ASVS 5.0.0 the levels of its requirements, section by section.
LEVELS = {
    1: "22 1111122223 112222222223 222 123",
    2: "122 112 12223 23",
    3: "3 113 12223 11222233 11122333 3 22333",
    4: "12233 23333 22 1222",
    5: "2 112333 113 222",
    6: "122 111111112222 11223333 112233 22222333 2223 33 2222",
    7: "222 1111 22 11222 223 22",
    8: "1233 1123 133 23",
    9: "111 1222",
    10: "22 223 22223 1111122222233333 22222 22 222",
    11: "2233 22233 11233 1222 23 23 33",
    12: "12233 11 22223",
    13: "2333 222223 2233 1222233",
    14: "22 12223333 122",
    15: "12233 12233 1222222 3333",
    16: "2 22222 2222 222 2223",
    17: "23 22223333 22",
}
STATES = ("Test", "Document", "Open", "Not applicable")
A_TEST = re.compile(r"`([\w/]+/test_\w+\.py)(?:::(test_\w+))?`")


@dataclass(frozen=True)
class Row:
    id: str
    level: int
    topic: str
    state: str
    evidence: str


def listed() -> list[Row]:
    found = re.findall(
        r"^\| (\d+\.\d+\.\d+) \| (\d) \| (.+?) \| (.+?) \| (.+) \|$", PAGE, re.MULTILINE
    )
    return [Row(id, int(level), *rest) for id, level, *rest in found]


def required() -> list[tuple[str, int]]:
    return [
        (f"{chapter}.{section}.{number}", int(level))
        for chapter, sections in LEVELS.items()
        for section, levels in enumerate(sections.split(), 1)
        for number, level in enumerate(levels, 1)
        if level != "3"
    ]


def test_each_requirement_is_listed_once_with_its_level() -> None:
    assert [(row.id, row.level) for row in listed()] == required()
    assert len(required()) == 253


def test_the_counts_are_those_of_the_rows() -> None:
    counted = Counter((row.state, row.level) for row in listed())
    for state in STATES:
        (figures,) = re.findall(rf"^\| {state} \| .+? \| (\d+) \| (\d+) \|$", PAGE, re.MULTILINE)
        assert figures == (str(counted[state, 1]), str(counted[state, 2])), state
    assert {row.state for row in listed()} == set(STATES)


@pytest.mark.parametrize("row", listed(), ids=lambda row: row.id)
def test_what_a_row_names_exists(row: Row) -> None:
    named = A_TEST.findall(row.evidence)
    if row.state == "Test":
        assert named
        assert all(name for _, name in named)
    if row.state == "Document":
        assert re.search(r"\]\(.+\.md", row.evidence)
    if row.state in ("Open", "Not applicable"):
        assert len(row.evidence) > 5
    for file, name in named:
        tree = ast.parse((settings.BASE_DIR / file).read_text())
        defined = {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}
        assert not name or name in defined, f"{file}::{name}"
