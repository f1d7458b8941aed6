"""Dashboard, alert rules and runbook cover all metrics and alerts, and name only existing ones."""

import ast
import json
import re
from collections.abc import Iterable, Iterator
from typing import Any

import pytest
import yaml
from django.conf import settings
from django.core.management import get_commands
from django.urls import get_resolver
from prometheus_client import REGISTRY

from wingxtra.console import actions
from wingxtra.observability import metrics

DOCS = settings.BASE_DIR / "docs"
RUNBOOK = (DOCS / "runbook.md").read_text()
RULES = yaml.safe_load((DOCS / "grafana" / "alerts.yml").read_text())["groups"][0]["rules"]
DASHBOARD = json.loads((DOCS / "grafana" / "dashboard.json").read_text())
PANELS = DASHBOARD["panels"]
QUERIES = [target["expr"] for panel in PANELS for target in panel["targets"]]
EXPRESSIONS = [rule["expr"] for rule in RULES] + QUERIES
A_METRIC = re.compile(r"\bwingxtra_\w+\b")
ITS_LABELS = re.compile(r"\b(wingxtra_\w+)\{([^}]*)\}")


@pytest.fixture
def known(db: Any) -> dict[str, set[str]]:
    """Every metric name in queries, with its labels."""
    get_resolver().url_patterns  # noqa: B018 (imports all that a web process does)
    found: dict[str, set[str]] = {}
    for collector in set(REGISTRY._collector_to_names):
        labels = set(getattr(collector, "_labelnames", ()))
        for name in REGISTRY._collector_to_names[collector]:
            if name.startswith("wingxtra_"):
                found[name] = labels | ({"le"} if name.endswith("_bucket") else set())
    for family in metrics._Everything().collect():
        if family.type == "gauge":
            found[family.name] = {label for sample in family.samples for label in sample.labels}
    return found


def headings(under: str) -> list[str]:
    section = RUNBOOK.partition(f"\n## {under}\n")[2].partition("\n## ")[0]
    return re.findall(r"^### (.*)$", section, re.MULTILINE)


@pytest.mark.parametrize("expression", EXPRESSIONS)
def test_every_query_uses_existing_names_and_labels(
    expression: str, known: dict[str, set[str]]
) -> None:
    names = set(A_METRIC.findall(expression)) | ({"up"} & set(re.findall(r"\bup\b", expression)))
    assert names
    assert names - {"up"} <= set(known)
    for name, selectors in ITS_LABELS.findall(expression):
        assert set(re.findall(r"(\w+)(?:=~|!~|!=|=)", selectors)) <= known[name]
    grouped = ",".join(re.findall(r"by \(([^)]*)\)", expression)).split(",")
    by = {label.strip() for label in grouped if label}
    assert by <= set().union(*(known[name] for name in names - {"up"}), {"le"})


def test_every_metric_is_on_the_dashboard_or_in_an_alert(known: dict[str, set[str]]) -> None:
    def families(names: Iterable[str]) -> set[str]:
        return {re.sub(r"_(bucket|count|sum|created|total)$", "", name) for name in names}

    asked = [name for expression in EXPRESSIONS for name in A_METRIC.findall(expression)]
    assert families(known) - families(asked) == set()


def test_every_alert_has_a_text_a_severity_and_a_runbook_section() -> None:
    assert headings("Alerts") == [rule["alert"] for rule in RULES]
    for rule in RULES:
        assert rule["labels"]["severity"] in ("page", "ticket")
        assert len(rule["annotations"]["summary"]) > 20
    section = RUNBOOK.partition("\n## Alerts\n")[2].partition("\n## ")[0]
    for text in section.split("\n### ")[1:]:
        assert "**Means:**" in text
        assert "**Do:**" in text


def test_every_attention_item_has_a_runbook_section() -> None:
    described = [heading.split("`")[1] for heading in headings("The console's attention list")]
    assert sorted(described) == sorted(set(attention_keys()))


def test_named_remedies_exist() -> None:
    get_resolver().url_patterns  # noqa: B018 (imports all that a web process does)
    labels = {action.label for action in actions._actions.values()}
    named = set(re.findall(r"(?<!\*)\*([A-Z][^*]+)\*(?!\*)", RUNBOOK))
    assert named
    assert {" ".join(name.split()) for name in named} - labels == set()


def attention_keys() -> Iterator[str]:
    """The constant prefixes of the keys of attention items in the code."""
    for path in settings.BASE_DIR.glob("[a-z]*/**/*.py"):
        text = path.read_text()
        if "Attention" not in text or "/tests/" in str(path) or path.name == "registry.py":
            continue
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") in (
                "Attention",
                "_attention",
            ):
                named = [keyword.value for keyword in node.keywords if keyword.arg == "key"]
                for argument in named or node.args[:2]:
                    yield from _beginning(argument)


def _beginning(argument: ast.expr) -> Iterator[str]:
    match argument:
        case (
            ast.Constant(value=str(key)) | ast.JoinedStr(values=[ast.Constant(value=str(key)), *_])
        ):
            yield key.partition(":")[0]


@pytest.mark.parametrize("page", ["runbook.md", "operations.md"])
def test_named_commands_exist(page: str) -> None:
    named = re.findall(r"manage\.py (\w+)", (DOCS / page).read_text())
    assert named
    assert set(named) <= set(get_commands())


def test_links_inside_the_runbook_exist() -> None:
    anchors = {heading.lower().replace("`", "").replace(" ", "-") for heading in headings("Alerts")}
    assert set(re.findall(r"\]\(#([\w-]+)\)", RUNBOOK)) <= anchors


def test_the_dashboards_panels_do_not_overlap() -> None:
    places = set()
    for panel in PANELS:
        at = panel["gridPos"]
        cells = {(at["x"] + dx, at["y"] + dy) for dx in range(at["w"]) for dy in range(at["h"])}
        assert not cells & places
        places |= cells
        assert panel["title"]
    assert len({panel["id"] for panel in PANELS}) == len(PANELS)
