"""Roles, the caller of a request, and the actor of an event."""

from dataclasses import dataclass
from typing import Protocol
from uuid import UUID

from django.db import models


class Role(models.TextChoices):
    """Decides what a caller may do. Customers have no account: they have a tracking link."""

    MERCHANT = "MERCHANT", "Merchant"
    OPS = "OPS", "Operations"
    ADMIN = "ADMIN", "Administrator"
    READONLY = "READONLY", "Read only"
    LOADER = "LOADER", "Loader"


STAFF_ROLES = (Role.OPS, Role.ADMIN)


class ActorKind(models.TextChoices):
    USER = "user", "User"
    API_KEY = "api_key", "API key"
    DISPATCHER = "dispatcher", "Dispatcher"
    GCS = "gcs", "Ground control"
    TELEMETRY = "telemetry", "Telemetry"
    CUSTOMER = "customer", "Customer"
    SYSTEM = "system", "System"


@dataclass(frozen=True, slots=True)
class Actor:
    """The person or system that caused an event. `ref` names a user or a key, never a customer."""

    kind: ActorKind
    ref: str = ""

    def __str__(self) -> str:
        return f"{self.kind.value}:{self.ref}" if self.ref else str(self.kind.value)


DISPATCHER = Actor(ActorKind.DISPATCHER)
GCS = Actor(ActorKind.GCS)
TELEMETRY = Actor(ActorKind.TELEMETRY)
CUSTOMER = Actor(ActorKind.CUSTOMER)
SYSTEM = Actor(ActorKind.SYSTEM)


def said_by(actor: str) -> str:
    """A stored Actor as a person reads it: “ama”, “Ground control”, “API key till 3”."""
    kind, _, ref = actor.partition(":")
    if kind == ActorKind.USER and ref:
        return ref
    return f"{ActorKind(kind).label} {ref}".strip() if kind in ActorKind.values else actor


class Caller(Protocol):
    """The type of `request.user` in API views: a User (token, session) or an ApiKey."""

    role: str
    merchant_id: UUID | None

    @property
    def is_authenticated(self) -> bool: ...

    @property
    def actor(self) -> Actor: ...

    @property
    def live_mode(self) -> bool:
        """False for a test key: its orders never reach a real drone."""
