"""Who is asking, and who caused a change."""

from dataclasses import dataclass
from typing import Protocol
from uuid import UUID

from django.db import models


class Role(models.TextChoices):
    """What a caller may do. Customers have no account: they hold a tracking link."""

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
    """Who or what caused an event. `ref` names a user or a key, never a customer."""

    kind: ActorKind
    ref: str = ""

    def __str__(self) -> str:
        return f"{self.kind.value}:{self.ref}" if self.ref else str(self.kind.value)


DISPATCHER = Actor(ActorKind.DISPATCHER)
GCS = Actor(ActorKind.GCS)
TELEMETRY = Actor(ActorKind.TELEMETRY)
CUSTOMER = Actor(ActorKind.CUSTOMER)
SYSTEM = Actor(ActorKind.SYSTEM)


class Caller(Protocol):
    """What `request.user` is behind the API: a User (token, session) or an ApiKey."""

    role: str
    merchant_id: UUID | None

    @property
    def is_authenticated(self) -> bool: ...

    @property
    def actor(self) -> Actor: ...

    @property
    def live_mode(self) -> bool:
        """False for a test key: what it makes never reaches a real drone."""
