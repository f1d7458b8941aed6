"""What Prometheus would read."""

from typing import Any

from prometheus_client.parser import text_string_to_metric_families

from wingxtra.observability import metrics


def scraped(text: str | None = None) -> dict[tuple[Any, ...], float]:
    """Every figure by name and labels' values, in order of the labels' names; freshly read."""
    if text is None:
        metrics._shown = float("-inf"), b""
        text = metrics.exposition().decode()
    return {
        (sample.name, *(value for _, value in sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }
