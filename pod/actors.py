"""Background jobs of proofs: encode the photos of cases."""

import dramatiq
from django.utils import timezone

from pod.pictures import case_photos
from wingxtra import outbox
from wingxtra.broker import every


# The sweep is the retry.
@dramatiq.actor(max_retries=0)
def encode_photo(case_id: str) -> None:
    case_photos.encode(int(case_id))


@every(60)
@dramatiq.actor(max_retries=0)
def sweep_photos() -> None:
    now = timezone.now()
    outbox.sweep(case_photos.waiting(now).order_by("opened_at"), encode_photo)
    case_photos.delete_strays(now)
