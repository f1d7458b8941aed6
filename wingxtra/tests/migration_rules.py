"""Rules for migrations that run while old code is still running: docs/deploy.md, upgrades.

During an upgrade the database is migrated first, and the old processes use it until they are
replaced. So all that they read must stay, all that they write must be accepted, and no large table
may be locked for long. A migration that does more, and is still safe, says why in its class:
`beside_old_code = "Not read since 0.3.0."`.
"""

from collections.abc import Iterator
from typing import Any

from django.contrib.postgres.operations import AddConstraintNotValid, AddIndexConcurrently
from django.db import connection
from django.db.migrations import Migration
from django.db.migrations.operations import (
    AddConstraint,
    AddField,
    AddIndex,
    AlterField,
    AlterModelTable,
    AlterUniqueTogether,
    CreateModel,
    DeleteModel,
    RemoveField,
    RenameField,
    RenameModel,
    RunPython,
    RunSQL,
)
from django.db.migrations.state import ProjectState
from django.db.models import CharField

TAKES_AWAY = (RemoveField, DeleteModel, RenameField, RenameModel, AlterModelTable)


def broken(migration: Migration, before: ProjectState) -> list[str]:
    """A text for each rule that the migration breaks. `before`: the project state before it."""
    if getattr(migration, "beside_old_code", ""):
        return []
    state, new_models = before.clone(), set()
    found: list[str] = []
    for operation in migration.operations:
        if isinstance(operation, CreateModel):
            new_models.add(operation.name_lower)
        elif getattr(operation, "model_name", "").lower() not in new_models:
            after = state.clone()
            operation.state_forwards(migration.app_label, after)
            problems = _problems(operation, migration.app_label, state, after)
            found += [f"{operation.describe()}: {why}" for why in problems]
        operation.state_forwards(migration.app_label, state)
    return found


def _problems(operation: Any, app: str, before: ProjectState, after: ProjectState) -> Iterator[str]:
    if isinstance(operation, TAKES_AWAY):
        yield "old code still reads it; stop using it in one release, remove it in the next"
    elif isinstance(operation, AddField):
        field = operation.field
        if not (field.null or field.has_db_default() or field.many_to_many):
            yield "old code inserts rows without it; give it db_default=… or null=True"
    elif isinstance(operation, AlterField):
        old, new = (_field(state, app, operation) for state in (before, after))
        yield from _altered(old, new)
    elif isinstance(operation, AddIndex) and not isinstance(operation, AddIndexConcurrently):
        yield "it locks the table while it is built; use AddIndexConcurrently"
    elif isinstance(operation, AddConstraint) and not isinstance(operation, AddConstraintNotValid):
        yield "it locks the table while every row is checked; use AddConstraintNotValid"
    elif isinstance(operation, AlterUniqueTogether):
        yield "it locks the table; use a UniqueConstraint over an index made concurrently"
    elif isinstance(operation, RunSQL | RunPython):
        yield "its effect cannot be seen from here"


def _altered(old: Any, new: Any) -> Iterator[str]:
    if old.null and not new.null:
        yield "old code still writes NULL"
    longer = isinstance(old, CharField) and isinstance(new, CharField)
    longer = longer and new.max_length >= old.max_length
    if old.db_type(connection) != new.db_type(connection) and not longer:
        yield "the table is rewritten, and old code knows the former type"
    if not old.unique and new.unique:
        yield "it locks the table, and old code may write doubles"


def _field(state: ProjectState, app: str, operation: AlterField) -> Any:
    model = state.apps.get_model(app, operation.model_name)
    return model._meta.get_field(operation.name)
