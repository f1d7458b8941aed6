"""What goes of a proof when its customer is forgotten: that there was one, how and when, stays."""

from typing import Any

from django.core.files.storage import default_storage

from orders.models import Order
from pod.models import OneTimeCode, ProofOfDelivery


def forget(order: Order, **_signal: Any) -> None:
    """Receiver of `retention.forgetting`.

    The file is deleted before the commit: if anything fails, its row still names it, and all of
    this is done again. Deleting what is not there is no error.
    """
    OneTimeCode.objects.filter(pk=order.pk).delete()
    proof = ProofOfDelivery.objects.filter(pk=order.pk).first()
    if proof is None:
        return
    if proof.image:
        default_storage.delete(str(proof.image.name))
    proof.is_forgotten = True
    proof.confirmed_by = proof.photo_url = proof.note = proof.fingerprint = ""
    proof.image = ""
    proof.strokes, proof.metadata = None, {}
    proof.drone_lat = proof.drone_lng = None
    proof.save()
