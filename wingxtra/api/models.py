"""Tables of the API itself."""

from django.db import models
from django.utils import timezone


class IdempotencyKey(models.Model):
    """A POST with an `Idempotency-Key`, and its response (see wingxtra.api.idempotency).

    The key is hashed and the response is encrypted. `status` is null while the request runs, or
    when its process died.
    """

    digest = models.CharField(max_length=64, primary_key=True, help_text="Caller, call and key.")
    body_digest = models.CharField(max_length=64)
    status = models.PositiveSmallIntegerField(null=True)
    content_type = models.CharField(max_length=100, blank=True, db_default="")
    body = models.BinaryField(db_default=b"")
    created_at = models.DateTimeField(default=timezone.now, db_index=True)
    held_until = models.DateTimeField(
        null=True, help_text="Until then, only the request in steps that set it may go on."
    )

    def __str__(self) -> str:
        return f"{self.digest[:8]}… ({self.status or 'running'})"
