"""The stores of merchants: places where parcels are picked up."""

import uuid
from typing import Any, Self

from django.db import models
from django.db.models import F
from django.db.models.functions import Lower
from django.utils import timezone

from fleet.models import LATITUDE, LONGITUDE, on_earth
from wingxtra.accounts.identity import Caller, Role
from wingxtra.accounts.models import Merchant
from wingxtra.opening_hours import OpeningHours


class StoreQuerySet(models.QuerySet["Store"]):
    def visible_to(self, caller: Caller) -> Self:
        """All for an administrator, a merchant's own for the merchant, none for others.

        A test key sees the merchant's stores for test orders only, any other caller its live ones.
        """
        if caller.role == Role.ADMIN:
            return self
        if caller.role == Role.MERCHANT and caller.merchant_id is not None:
            return self.filter(merchant_id=caller.merchant_id, live_mode=caller.live_mode)
        return self.none()


class Store(models.Model):
    """A pickup place of a merchant's live orders or, without `live_mode`, of its test orders.

    An order copies name and position, so that a store can move without its open orders.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    merchant = models.ForeignKey(
        Merchant,
        on_delete=models.PROTECT,
        related_name="stores",
        db_index=False,  # store_name_once_per_merchant covers it
    )
    live_mode = models.BooleanField(default=True, editable=False)
    name = models.CharField(max_length=120)
    lat = models.FloatField(validators=LATITUDE)
    lng = models.FloatField(validators=LONGITUDE)
    instructions = models.CharField(
        max_length=300, blank=True, help_text="For the pickup: where to go, whom to call."
    )
    hours: Any = models.JSONField(
        null=True, blank=True, help_text="See wingxtra.opening_hours; empty: always open."
    )
    active = models.BooleanField(default=True, help_text="Off: it takes no orders.")
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    objects = StoreQuerySet.as_manager()

    class Meta:
        ordering = ["-created_at", "-id"]
        constraints = [
            models.UniqueConstraint(
                F("merchant"), F("live_mode"), Lower("name"), name="store_name_once_per_merchant"
            ),
            models.CheckConstraint(name="store_on_earth", condition=on_earth("lat", "lng")),
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def opening_hours(self) -> OpeningHours | None:
        """None: always open."""
        return OpeningHours.from_json(self.hours) if self.hours else None
