"""What staff wrote about an order, for each other."""

import uuid

from django.db import models

from orders.models.order import Order

MAX_LENGTH = 1000


class Note(models.Model):
    """Append-only: a trigger refuses a change. It may name people, so retention deletes it.

    The id is chosen by the form, so that a second click writes no second note.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    order = models.ForeignKey(Order, on_delete=models.CASCADE, related_name="notes")
    author = models.CharField(max_length=180, help_text="The user's name.")
    text = models.TextField(max_length=MAX_LENGTH)
    created_at = models.DateTimeField(help_text="By our clock.")

    class Meta:
        ordering = ["created_at", "id"]
        default_permissions = ()

    def __str__(self) -> str:
        return f"{self.author}, {self.created_at:%Y-%m-%d %H:%M}"
