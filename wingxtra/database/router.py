"""Which database a query of a model uses; only with REPLICA_DATABASE_URL (see `replica.py`)."""

from typing import Any

from django.db import DEFAULT_DB_ALIAS
from django.db.models import Model

from wingxtra.database import replica

# Who a person is and what the person may do is never read from the past.
ACCESS = {"accounts", "auth", "axes", "contenttypes", "otp_totp", "sessions"}


class ReplicaRouter:
    """Each answer is explicit: without one, Django would read what belongs to an object, and save
    it, where the object came from.
    """

    def db_for_read(self, model: type[Model], **hints: Any) -> str:
        may = replica.is_reading() and model._meta.app_label not in ACCESS
        return replica.ALIAS if may else DEFAULT_DB_ALIAS

    def db_for_write(self, model: type[Model], **hints: Any) -> str:
        return DEFAULT_DB_ALIAS

    def allow_relation(self, one: Model, other: Model, **hints: Any) -> bool:
        return True

    def allow_migrate(self, db: str, app_label: str, **hints: Any) -> bool:
        return db == DEFAULT_DB_ALIAS
