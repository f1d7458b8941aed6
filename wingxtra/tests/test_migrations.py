"""Migrations run while the former release still runs, so they must follow rules."""

from typing import Any

import pytest
from django.apps import apps
from django.conf import settings
from django.contrib.postgres.operations import AddConstraintNotValid, AddIndexConcurrently
from django.db import connection, models
from django.db.migrations import Migration, operations
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.state import ModelState, ProjectState

from wingxtra.tests.migration_rules import broken

# The last migration of each app that the rules do not apply to. Filled in with the first release:
# until then no former release exists, and the rules apply to no migration.
FIRST_RELEASE: dict[str, str] = {}
CHANGELOG = settings.BASE_DIR / "docs" / "changelog.md"

WEIGHTY = models.CheckConstraint(name="weighty", condition=models.Q(weight__gt=0))
REFUSED = [
    (operations.RemoveField("parcel", "weight"), "old code still reads it"),
    (operations.RenameField("parcel", "weight", "mass"), "old code still reads it"),
    (operations.DeleteModel("Parcel"), "old code still reads it"),
    (operations.AlterModelTable("parcel", "boxes"), "old code still reads it"),
    (operations.AddField("parcel", "note", models.TextField()), "inserts rows without it"),
    (operations.AddField("parcel", "note", models.TextField(default="")), "without it"),
    (operations.AlterField("parcel", "weight", models.FloatField()), "still writes NULL"),
    (operations.AlterField("parcel", "weight", models.TextField(null=True)), "rewritten"),
    (operations.AlterField("parcel", "name", models.CharField(max_length=5)), "rewritten"),
    (operations.AlterField("parcel", "name", models.CharField(max_length=9, unique=True)), "lock"),
    (operations.AddIndex("parcel", models.Index("name", name="by_name")), "Concurrently"),
    (operations.AddConstraint("parcel", WEIGHTY), "NotValid"),
    (operations.RunSQL("DROP TABLE parcel"), "cannot be seen"),
    (operations.RunPython(operations.RunPython.noop), "cannot be seen"),
]  # fmt: skip
ALLOWED = [
    operations.AddField("parcel", "note", models.TextField(null=True)),
    operations.AddField("parcel", "note", models.TextField(db_default="")),
    operations.AlterField("parcel", "name", models.CharField(max_length=9, help_text="New.")),
    operations.AlterField("parcel", "name", models.CharField(max_length=9, null=True)),
    operations.AlterField("parcel", "name", models.CharField(max_length=20)),
    AddIndexConcurrently("parcel", models.Index("name", name="by_name")),
    AddConstraintNotValid("parcel", WEIGHTY),
    operations.CreateModel("Box", [("id", models.BigAutoField(primary_key=True))]),
]


@pytest.mark.django_db
def test_the_database_has_every_constraint_and_index_of_the_models() -> None:
    """Django drops the unique constraints on the one column of a foreign key together with its
    index (AlterField to db_index=False).
    """
    with connection.cursor() as cursor:
        cursor.execute("SELECT indexname FROM pg_indexes UNION SELECT conname FROM pg_constraint")
        there = {name for (name,) in cursor.fetchall()}
    wanted = [
        one.name
        for model in apps.get_models()
        for one in (*model._meta.constraints, *model._meta.indexes)
    ]
    assert len(wanted) > 100
    assert not set(wanted) - there


def migration(*steps: Any, **attributes: Any) -> Migration:
    made = Migration("0007_change", "probe")
    made.operations = list(steps)
    for name, value in attributes.items():
        setattr(made, name, value)
    return made


def parcels() -> ProjectState:
    fields = [
        ("id", models.BigAutoField(primary_key=True)),
        ("name", models.CharField(max_length=9)),
        ("weight", models.FloatField(null=True)),
    ]
    state = ProjectState()
    state.add_model(ModelState("probe", "Parcel", fields))
    return state


@pytest.mark.parametrize(("step", "why"), REFUSED)
def test_a_change_that_breaks_the_former_release_is_refused(step: Any, why: str) -> None:
    (problem,) = broken(migration(step), parcels())
    assert why in problem
    assert broken(migration(step, beside_old_code="Not read since 0.1."), parcels()) == []


@pytest.mark.parametrize("step", ALLOWED)
def test_additions_are_allowed(step: Any) -> None:
    assert broken(migration(step), parcels()) == []


def test_a_new_table_may_have_any_constraint() -> None:
    steps = [
        operations.CreateModel("Box", [("id", models.BigAutoField(primary_key=True))]),
        operations.AddField("box", "size", models.FloatField(default=1)),
        operations.AddIndex("box", models.Index("size", name="by_size")),
    ]
    assert broken(migration(*steps), parcels()) == []


def test_every_migration_since_the_first_release_keeps_the_rules() -> None:
    loader = MigrationLoader(None)
    wrong = {}
    for (app, name), found in loader.disk_migrations.items():
        if app in FIRST_RELEASE and name > FIRST_RELEASE[app]:
            before = loader.project_state((app, name), at_end=False)
            wrong[f"{app}/{name}"] = broken(found, before)
    assert not any(wrong.values()), wrong


def test_once_there_is_a_release_the_rules_apply_to_all_our_apps() -> None:
    ours = {
        config.label
        for config in apps.get_app_configs()
        if (settings.BASE_DIR / config.name.replace(".", "/") / "migrations").is_dir()
    }
    assert {"orders", "accounts"} <= ours
    is_out = "## 0.1.0, unreleased" not in CHANGELOG.read_text()
    assert set(FIRST_RELEASE) == (ours if is_out else set())
