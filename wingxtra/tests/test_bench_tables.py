"""The output of `make bench`: tables with a mark on missed budgets, and its exit code."""

import pytest

from wingxtra.tests.bench import __main__ as bench
from wingxtra.tests.bench.tables import Figure, Table

PROGRAM = """
import logging
from wingxtra.tests.bench.tables import Figure, Table

logging.warning("a line of the log")
print("and another one")
table = Table("A table", ("what", "ms"))
table.row("quick", Figure(10, at_most=20))
table.row("slow", Figure(30, at_most=20))
"""


@pytest.mark.parametrize(
    ("figure", "shown", "missed"),
    [
        (Figure(1234.5, ",.0f"), "1,234", ""),
        (Figure(20, at_most=20), "20", ""),
        (Figure(21, at_most=20), "21", "> 20"),
        (Figure(0.34, ".0%", at_least=0.35), "34%", "< 35%"),
        (Figure(0.35, ".0%", at_least=0.35), "35%", ""),
    ],
)
def test_a_figure_reports_a_missed_budget(figure: Figure, shown: str, missed: str) -> None:
    assert (str(figure), figure.missed) == (shown, missed)


def test_a_table_has_a_title_aligned_columns_and_marks(capsys: pytest.CaptureFixture[str]) -> None:
    table = Table("The calls", ("call", "ms", "statements"), first_width=8)
    table.row("one", Figure(7, at_most=300), 2)
    table.row("another", Figure(301, at_most=300), Figure(3, at_most=2))
    assert capsys.readouterr().out.splitlines() == [
        "",
        "The calls",
        "",
        "call          ms  statements",
        "--------  ------  ----------",
        "one            7           2",
        "another      301           3  over budget: ms 301 > 300, statements 3 > 2",
    ]


def bench_of(program: str, monkeypatch: pytest.MonkeyPatch, tmp_path) -> int:
    monkeypatch.setattr(bench, "PARTS", (("-c", program),))
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    return bench.main()


def test_missed_budgets_are_counted_and_do_not_fail(monkeypatch, tmp_path, capsys) -> None:
    assert bench_of(PROGRAM, monkeypatch, tmp_path) == 0
    printed = capsys.readouterr().out
    assert "over budget: ms 30 > 20" in printed
    assert "1 row is over budget" in printed.splitlines()[-1]
    assert "line of the log" not in printed
    assert "another one" not in printed
    assert list(tmp_path.iterdir()) == []


def test_a_wrong_answer_fails_and_keeps_its_log(monkeypatch, tmp_path, capsys) -> None:
    assert bench_of(PROGRAM + "assert 1 + 1 == 3, 'wrong'", monkeypatch, tmp_path) == 1
    (log,) = tmp_path.iterdir()
    last = capsys.readouterr().out.splitlines()[-1]
    assert last.endswith(f"The log: {log}")
    assert {"a line of the log", "and another one", "wrong"} <= {
        line.rpartition(":")[2].strip() for line in log.read_text().splitlines()
    }
