"""What a migration may do while the code before it still runs: docs/deploy.md, upgrades.

During an upgrade the database is migrated first, and the old processes work on it until they are
replaced. So whatever they read must stay, whatever they write must be taken, and no large table may
be locked for long. A migration that does more, and knows why nobody is hurt, says so in its class:
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
    """The rules that it breaks, each in words; `before` is the state that it finds."""
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
            words = _words(operation, migration.app_label, state, after)
            found += [f"{operation.describe()}: {why}" for why in words]
        operation.state_forwards(migration.app_label, state)
    return found


def _words(operation: Any, app: str, before: ProjectState, after: ProjectState) -> Iterator[str]:
    if isinstance(operation, TAKES_AWAY):
        yield "old code still asks for it; stop using it in one release, remove it in the next"
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
        yield "nobody can see from here what it does"


def _altered(old: Any, new: Any) -> Iterator[str]:
    if old.null and not new.null:
        yield "old code still writes NULL"
    longer = isinstance(old, CharField) and isinstance(new, CharField)
    longer = longer and new.max_length >= old.max_length
    if old.db_type(connection) != new.db_type(connection) and not longer:
        yield "the table is written anew, and old code knows the former type"
    if not old.unique and new.unique:
        yield "it locks the table, and old code may write doubles"


def _field(state: ProjectState, app: str, operation: AlterField) -> Any:
    model = state.apps.get_model(app, operation.model_name)
    return model._meta.get_field(operation.name)
