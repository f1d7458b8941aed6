"""Migrations run while the former release still works: what they may do then, and that they do."""

from typing import Any

import pytest
from django.apps import apps
from django.conf import settings
from django.contrib.postgres.operations import AddConstraintNotValid, AddIndexConcurrently
from django.db import models
from django.db.migrations import Migration, operations
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.state import ModelState, ProjectState

from wingxtra.tests.migration_rules import broken

# The last one of each app that is not held to the rules, as nobody runs the code before it: filled
# in with the first release. Until then there is no former release to be hurt, and none is held.
FIRST_RELEASE: dict[str, str] = {}
CHANGELOG = settings.BASE_DIR / "docs" / "changelog.md"

WEIGHTY = models.CheckConstraint(name="weighty", condition=models.Q(weight__gt=0))
REFUSED = [
    (operations.RemoveField("parcel", "weight"), "old code still asks for it"),
    (operations.RenameField("parcel", "weight", "mass"), "old code still asks for it"),
    (operations.DeleteModel("Parcel"), "old code still asks for it"),
    (operations.AlterModelTable("parcel", "boxes"), "old code still asks for it"),
    (operations.AddField("parcel", "note", models.TextField()), "inserts rows without it"),
    (operations.AddField("parcel", "note", models.TextField(default="")), "without it"),
    (operations.AlterField("parcel", "weight", models.FloatField()), "still writes NULL"),
    (operations.AlterField("parcel", "weight", models.TextField(null=True)), "written anew"),
    (operations.AlterField("parcel", "name", models.CharField(max_length=5)), "written anew"),
    (operations.AlterField("parcel", "name", models.CharField(max_length=9, unique=True)), "lock"),
    (operations.AddIndex("parcel", models.Index("name", name="by_name")), "Concurrently"),
    (operations.AddConstraint("parcel", WEIGHTY), "NotValid"),
    (operations.RunSQL("DROP TABLE parcel"), "nobody can see"),
    (operations.RunPython(operations.RunPython.noop), "nobody can see"),
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
def test_what_would_hurt_the_former_release_is_refused(step: Any, why: str) -> None:
    (said,) = broken(migration(step), parcels())
    assert why in said
    assert broken(migration(step, beside_old_code="Not read since 0.1."), parcels()) == []


@pytest.mark.parametrize("step", ALLOWED)
def test_what_only_adds_is_allowed(step: Any) -> None:
    assert broken(migration(step), parcels()) == []


def test_a_table_that_is_new_itself_may_have_everything() -> None:
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


def test_once_there_is_a_release_every_app_of_ours_is_held() -> None:
    ours = {
        config.label
        for config in apps.get_app_configs()
        if (settings.BASE_DIR / config.name.replace(".", "/") / "migrations").is_dir()
    }
    assert {"orders", "accounts"} <= ours
    is_out = "## 0.1.0, unreleased" not in CHANGELOG.read_text()
    assert set(FIRST_RELEASE) == (ours if is_out else set())
