"""The hubs of users with the role LOADER."""

from django.db import models

from fleet.models import Hub
from wingxtra.accounts.models import User


class Loader(models.Model):
    """A user may load at several hubs. The row has no effect without the role LOADER."""

    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="loads_at")
    hub = models.ForeignKey(Hub, on_delete=models.PROTECT, related_name="loaders")

    class Meta:
        ordering = ["hub__name"]
        constraints = [models.UniqueConstraint(fields=["user", "hub"], name="loader_once_per_hub")]

    def __str__(self) -> str:
        return f"{self.user} loads at {self.hub}"
