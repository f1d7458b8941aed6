"""What the API remembers between requests."""

from django.db import models
from django.utils import timezone


class IdempotencyKey(models.Model):
    """A POST made under an `Idempotency-Key`, and its answer (see wingxtra.api.idempotency).

    Neither the key nor the answer can be read from here. `status` is empty while the
    request runs, or when the process that ran it died.
    """

    digest = models.CharField(max_length=64, primary_key=True, help_text="Caller, call and key.")
    body_digest = models.CharField(max_length=64)
    status = models.PositiveSmallIntegerField(null=True)
    content_type = models.CharField(max_length=100, blank=True, db_default="")
    body = models.BinaryField(db_default=b"")
    created_at = models.DateTimeField(default=timezone.now, db_index=True)

    def __str__(self) -> str:
        return f"{self.digest[:8]}… ({self.status or 'running'})"
