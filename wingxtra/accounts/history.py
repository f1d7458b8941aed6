"""Changes of users, keys and merchants are entries of the console's history: who, when, and what.

It does not matter which page, call or command makes the change. `QuerySet.update` is not seen:
code that uses it writes its own entry.
"""

from typing import Any

from django.contrib.admin.models import ADDITION, CHANGE, LogEntry
from django.contrib.auth import get_user_model
from django.contrib.contenttypes.models import ContentType
from django.db import models, transaction

from wingxtra.accounts import acting

# A user of this name cannot be made by a form, nor log in: it stands for commands on the server.
COMMAND_LINE = "command line"


class WithHistory(models.Model):
    """A model that writes an entry for each saved change, in the transaction of the change.

    Outside of requests and commands (as in tests) it writes none.
    """

    # Times of use, and what must not be shown.
    unwatched: tuple[str, ...] = ()

    class Meta:
        abstract = True

    def save(self, *args: Any, **options: Any) -> None:
        if acting.now() is None:
            super().save(*args, **options)
            return
        with transaction.atomic():
            is_new = self._state.adding
            changes = self._changes(options.get("update_fields"))
            super().save(*args, **options)
            if changes:
                write(self, " ".join(changes), ADDITION if is_new else CHANGE)

    def secret_changes(self) -> list[str]:
        """Sentences about changes of what must not be shown."""
        return []

    def _changes(self, update_fields: Any) -> list[str]:
        watched = [
            field
            for field in self._meta.concrete_fields
            if field.name not in self.unwatched
            and (update_fields is None or {field.name, field.attname} & set(update_fields))
        ]
        if not watched:
            return self.secret_changes()
        is_new = self._state.adding
        former = None if is_new else type(self)._default_manager.filter(pk=self.pk).first()
        before = {field.name: _shown(former, field) for field in watched} if former else {}
        found = []
        for field in watched:
            old, new = before.get(field.name, ""), _shown(self, field)
            if old != new:
                name = str(field.verbose_name).capitalize()
                found.append(
                    f"{name}: {old or '—'} → {new or '—'}." if former else f"{name}: {new}."
                )
        return found + self.secret_changes()


def write(instance: models.Model, message: str, flag: int) -> None:
    """An entry of the user of this request or command."""
    who = acting.now()
    by = getattr(who, "user", None)
    if not isinstance(by, get_user_model()):
        # A key, or a visitor, has no row to refer to.
        message = f"{message} ({who if by is None else getattr(by, 'actor', 'not logged in')})"
        by = _command_line()
    LogEntry.objects.create(
        user=by,
        content_type=ContentType.objects.get_for_model(instance),
        object_id=str(instance.pk),
        object_repr=str(instance)[:200],
        action_flag=flag,
        change_message=message,
    )


def _shown(instance: Any, field: Any) -> str:
    if field.choices:
        return str(getattr(instance, f"get_{field.name}_display")())
    value = getattr(instance, field.name)
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "" if value is None else str(value)


def _command_line() -> Any:
    users: Any = get_user_model()
    found = users.objects.filter(username=COMMAND_LINE).first()
    if found is None:
        nothing = {"is_active": False, "is_staff": False, "role": "READONLY"}
        found = users(username=COMMAND_LINE, **nothing)
        found.set_unusable_password()
        # Not an event of its own.
        models.Model.save(found)
    return found
