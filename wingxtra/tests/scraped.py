"""Metrics as Prometheus reads them."""

from typing import Any

from prometheus_client.parser import text_string_to_metric_families

from wingxtra.observability import metrics


def scraped(text: str | None = None) -> dict[tuple[Any, ...], float]:
    """Every value by name and label values (in order of the labels' names), without the cache."""
    if text is None:
        metrics._shown = float("-inf"), b""
        text = metrics.exposition().decode()
    return {
        (sample.name, *(value for _, value in sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }
