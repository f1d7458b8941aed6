"""Removes the personal data of a proof and of cases; their kinds and times stay."""

from typing import Any

from django.core.files.storage import default_storage

from orders.models import Order
from pod import cases
from pod.models import OneTimeCode, ProofOfDelivery


def forget(order: Order, **_signal: Any) -> None:
    """Receiver of `retention.forgetting`.

    The file is deleted before the commit: after a rollback the row still names it, and a retry
    deletes it again. Deleting a missing file is no error.
    """
    cases.forget(order)
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
