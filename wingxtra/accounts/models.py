"""Users, merchants and API keys."""

import hashlib
import secrets
import uuid
from datetime import datetime, timedelta
from typing import Any, ClassVar, Self

from django.contrib.auth.base_user import BaseUserManager
from django.contrib.auth.models import AbstractUser
from django.core.validators import RegexValidator
from django.db import models
from django.db.models import Q
from django.utils.crypto import salted_hmac

from wingxtra.accounts.identity import Actor, ActorKind, Role


class Merchant(models.Model):
    """A business that sends parcels. Only its own users and our staff see its orders."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    name = models.CharField(max_length=120, unique=True)
    support_contact = models.CharField(
        max_length=200, blank=True, help_text="Shown to customers on the tracking page."
    )
    brand_color = models.CharField(
        max_length=7,
        blank=True,
        validators=[RegexValidator(r"^#[0-9a-fA-F]{6}\Z", "Must be a color like #0b7a4b.")],
        help_text="Color of the tracking page, like #0b7a4b.",
    )
    logo = models.FileField(
        upload_to="logos", blank=True, help_text="On the tracking page; as we encoded it."
    )
    active = models.BooleanField(default=True)
    live_keys_allowed = models.BooleanField(
        "may make live keys",
        default=False,
        db_default=False,
        help_text="On their own page. Test keys they can always make. Without it, keys that there "
        "are keep working.",
    )
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["name"]
        constraints = [
            models.CheckConstraint(
                name="merchant_color_is_one",
                condition=Q(brand_color="") | Q(brand_color__regex=r"^#[0-9a-fA-F]{6}$"),
            )
        ]

    def __str__(self) -> str:
        return self.name


# A merchant role without a merchant would see no orders or, worse, the orders of all merchants.
MERCHANT_ROLE_HAS_A_MERCHANT = Q(role=Role.MERCHANT, merchant__isnull=False) | (
    ~Q(role=Role.MERCHANT) & Q(merchant__isnull=True)
)

# A loader is a person who works at a pickup place, so no key has this role.
KEY_ROLES = [(role.value, role.label) for role in Role if role != Role.LOADER]


class UserManager(BaseUserManager["User"]):
    def create_user(
        self, username: str, email: str | None = None, password: str | None = None, **fields: Any
    ) -> "User":
        user = self.model(
            username=self.model.normalize_username(username),
            email=self.normalize_email(email),
            **fields,
        )
        user.set_password(password)
        user.save(using=self._db)
        return user

    def create_superuser(
        self, username: str, email: str | None = None, password: str | None = None
    ) -> "User":
        """An administrator with access to the console. `manage.py createsuperuser` calls it."""
        return self.create_user(username, email, password, role=Role.ADMIN, is_staff=True)


class User(AbstractUser):
    """A person with a password: staff in the console, a merchant's users through the API, loaders
    on the page of their hub (`orders.loading`).

    Permissions follow from `role` alone (`wingxtra.console.roles`).
    """

    role = models.CharField(max_length=10, choices=Role, default=Role.OPS)
    merchant = models.ForeignKey(Merchant, on_delete=models.PROTECT, null=True, blank=True)

    objects: ClassVar = UserManager()  # type: ignore[assignment]

    class Meta(AbstractUser.Meta):
        constraints = [
            models.CheckConstraint(
                name="user_merchant_matches_role", condition=MERCHANT_ROLE_HAS_A_MERCHANT
            )
        ]

    @property
    def is_superuser(self) -> bool:  # type: ignore[override]
        """Always False: Django gives a superuser every permission; here only the role gives any.

        The property replaces Django's column, so it cannot be set on a user or in the database.
        """
        return False

    @property
    def actor(self) -> Actor:
        return Actor(ActorKind.USER, self.get_username())

    @property
    def live_mode(self) -> bool:
        """Always True: only a key can be a test key."""
        return True

    @property
    def token_stamp(self) -> str:
        """Part of each token. A change of password, role or merchant changes it: all tokens end."""
        access = f"{self.password}:{self.role}:{self.merchant_id}"
        return salted_hmac("accounts.token_stamp", access, algorithm="sha256").hexdigest()[:32]

    @property
    def may_log_in(self) -> bool:
        return self.is_active and (self.merchant is None or self.merchant.active)


class TokenFamily(models.Model):
    """All JWTs that descend from one login: one refresh token at a time, each good for one use.

    A refresh token that is used twice was stolen, or its answer was lost: it ends the family, with
    every token of it. Only the digest of the current refresh token's id is stored.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="token_families")
    digest = models.CharField(max_length=64, editable=False)
    expires_at = models.DateTimeField(db_index=True)
    ended_at = models.DateTimeField(null=True)
    ended_because = models.CharField(max_length=100, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)

    def __str__(self) -> str:
        return f"Tokens of {self.user_id} since {self.created_at:%Y-%m-%d %H:%M}"


class ApiKeyQuerySet(models.QuerySet["ApiKey"]):
    def usable(self, at: datetime) -> Self:
        """Neither revoked nor expired at `at`, and without a merchant or with an active one."""
        return self.filter(
            Q(expires_at__isnull=True) | Q(expires_at__gt=at),
            Q(merchant__isnull=True) | Q(merchant__active=True),
            revoked_at__isnull=True,
        )


class ApiKey(models.Model):
    """A machine's credential. Only its digest is stored, so the key itself is shown exactly once.

    A plain SHA-256 is enough: the key has 192 random bits and cannot be guessed.
    """

    LIVE_PREFIX = "wx_live_"
    TEST_PREFIX = "wx_test_"
    LAST_USE_RESOLUTION = timedelta(minutes=1)

    name = models.CharField(max_length=80, help_text="What uses it, for example “till 3”.")
    digest = models.CharField(max_length=64, unique=True, editable=False)
    hint = models.CharField(max_length=20, editable=False, help_text="How the key begins.")
    role = models.CharField(max_length=10, choices=KEY_ROLES)
    merchant = models.ForeignKey(Merchant, on_delete=models.PROTECT, null=True, blank=True)
    live_mode = models.BooleanField(
        default=True, help_text="Off: what the key makes never reaches a real drone."
    )
    created_at = models.DateTimeField(auto_now_add=True)
    last_used_at = models.DateTimeField(null=True, editable=False)
    expires_at = models.DateTimeField(null=True, blank=True)
    revoked_at = models.DateTimeField(null=True, editable=False)

    objects = ApiKeyQuerySet.as_manager()

    is_authenticated = True
    is_anonymous = False
    is_active = True

    class Meta:
        verbose_name = "API key"
        ordering = ["-created_at"]
        constraints = [
            models.CheckConstraint(
                name="apikey_merchant_matches_role", condition=MERCHANT_ROLE_HAS_A_MERCHANT
            ),
            models.CheckConstraint(name="apikey_is_no_loader", condition=~Q(role=Role.LOADER)),
        ]

    def __str__(self) -> str:
        return f"{self.name} ({self.hint}…)"

    @property
    def actor(self) -> Actor:
        return Actor(ActorKind.API_KEY, self.name)

    def has_expired(self, at: datetime) -> bool:
        return self.expires_at is not None and self.expires_at <= at

    def note_use(self, at: datetime) -> None:
        """Write the time of the last use, at most once a minute to save writes."""
        stale = at - self.LAST_USE_RESOLUTION
        if self.last_used_at is None or self.last_used_at < stale:
            is_stale = Q(last_used_at__isnull=True) | Q(last_used_at__lt=stale)
            ApiKey.objects.filter(is_stale, pk=self.pk).update(last_used_at=at)
            self.last_used_at = at

    @staticmethod
    def digest_of(key: str) -> str:
        return hashlib.sha256(key.encode()).hexdigest()

    @classmethod
    def issue(
        cls,
        *,
        name: str,
        role: Role,
        merchant: Merchant | None = None,
        live_mode: bool = True,
        expires_at: datetime | None = None,
    ) -> tuple["ApiKey", str]:
        """Make a key. Returns the row and the key, which cannot be read again later."""
        prefix = cls.LIVE_PREFIX if live_mode else cls.TEST_PREFIX
        key = prefix + secrets.token_urlsafe(24)
        row = cls.objects.create(
            name=name,
            role=role,
            merchant=merchant,
            live_mode=live_mode,
            expires_at=expires_at,
            digest=cls.digest_of(key),
            hint=key[: len(prefix) + 4],
        )
        return row, key
