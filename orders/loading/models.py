"""Where users with the role LOADER work: hubs of ours and stores of merchants."""

from django.db import models
from django.db.models import Q

from fleet.models import Hub
from orders.models.store import Store
from wingxtra.accounts.models import User


class Loader(models.Model):
    """A user may load at several places. The row has no effect without the role LOADER."""

    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="loads_at")
    hub = models.ForeignKey(
        Hub, on_delete=models.PROTECT, null=True, blank=True, related_name="loaders"
    )
    store = models.ForeignKey(
        Store, on_delete=models.CASCADE, null=True, blank=True, related_name="loaders"
    )

    class Meta:
        ordering = ["hub__name", "store__name"]
        constraints = [
            models.UniqueConstraint(fields=["user", "hub"], name="loader_once_per_hub"),
            models.UniqueConstraint(fields=["user", "store"], name="loader_once_per_store"),
            models.CheckConstraint(
                name="loader_at_one_place",
                condition=Q(hub__isnull=False, store__isnull=True)
                | Q(hub__isnull=True, store__isnull=False),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.user} loads at {self.hub or self.store}"
