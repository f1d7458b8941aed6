"""Only the lifecycle changes a status or writes an event; checked in the source code."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.conf import settings

APPS = ("orders", "dispatch", "pod", "tracking")  # the other apps cannot import orders
# django-fsm does not protect a status against bulk writes.
BULK_WRITES = {"update", "bulk_update", "aupdate", "abulk_update", "update_or_create"}
WRITES_EVENTS = {"create", "bulk_create", "acreate", "get_or_create", "update_or_create"}


def findings(source: str) -> Iterator[str]:
    """Descriptions of the code in a module that bypasses the lifecycle."""
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Call(func=ast.Attribute(attr=name), keywords=given) if name in BULK_WRITES:
                if any(keyword.arg == "status" for keyword in given):
                    yield f"line {node.lineno}: .{name}(status=…)"
            case ast.Assign(targets=targets):
                for target in targets:
                    for part in ast.walk(target):
                        if isinstance(part, ast.Attribute) and part.attr == "status":
                            yield f"line {node.lineno}: .status = …"
        match node:
            case ast.Call(func=ast.Name(id="DeliveryEvent")):
                yield f"line {node.lineno}: DeliveryEvent(…)"
            case ast.Call(func=ast.Attribute(attr="new"), args=[ast.Name(id="DeliveryEvent"), *_]):
                yield f"line {node.lineno}: few_rows.new(DeliveryEvent, …)"
            case ast.Call(
                func=ast.Attribute(
                    attr=name, value=ast.Attribute(value=ast.Name(id="DeliveryEvent"))
                )
            ) if name in WRITES_EVENTS:
                yield f"line {node.lineno}: DeliveryEvent.objects.{name}(…)"
            case ast.Call(func=ast.Attribute(attr="refresh_from_db" | "arefresh_from_db")):
                yield f"line {node.lineno}: refresh_from_db()"


# The two files that may write.
WRITERS = {"orders/models/order.py", "orders/unit_of_work.py"}


def test_only_the_lifecycle_writes_statuses_and_events() -> None:
    root = Path(settings.BASE_DIR)
    found = []
    for app in APPS:
        for path in sorted((root / app).rglob("*.py")):
            name = path.relative_to(root).as_posix()
            if name in WRITERS or "/tests/" in name:
                continue
            found += [f"{name}, {finding}" for finding in findings(path.read_text())]
    assert not found, "\n".join(found)


@pytest.mark.parametrize(
    "line",
    [
        "Order.objects.filter(pk=1).update(status='QUEUED')",
        "order.status = Status.QUEUED",
        "order.status, order.note = 'QUEUED', ''",
        "DeliveryEvent.objects.create(order=order)",
        "DeliveryEvent(order=order).save()",
        "few_rows.insert([few_rows.new(DeliveryEvent, order_id=1)])",
        "order.refresh_from_db()",
    ],
)
def test_the_search_finds_each_kind_of_violation(line: str) -> None:
    assert list(findings(line))
