"""The photo that a test order's drone takes, where the order needs one."""

from collections.abc import Sequence
from functools import cache, partial
from io import BytesIO
from typing import Any
from uuid import UUID

from django.db import transaction
from PIL import Image, ImageDraw, ImageFont

from orders.models import DeliveryEvent
from orders.scenarios import TEST_MODE
from orders.states import EventType, PodRequirement, Scenario
from pod import proofs

SIZE_PX = (640, 480)


def photograph(events: Sequence[DeliveryEvent], **_signal: Any) -> None:
    """Receiver of `lifecycle.recorded`: a test order at the drop point that needs a PHOTO gets one.

    The photo completes the delivery. Should it be lost with the process, the timetable delivers
    the order without its proof.
    """
    for event in events:
        order = event.order
        if (
            event.type == EventType.DELIVERING
            and not order.live_mode
            and order.pod_requirement == PodRequirement.PHOTO
            and order.test_scenario != Scenario.PROOF_MISSING
        ):
            transaction.on_commit(partial(_record, order.pk), robust=True)


def _record(order_id: UUID) -> None:
    evidence = proofs.Evidence.photo(sample(), note="A sample photo of test mode.")
    proofs.record(order_id, evidence, by=TEST_MODE)


@cache
def sample() -> bytes:
    """A PNG of a parcel on the ground, marked TEST."""
    image = Image.new("RGB", SIZE_PX, "#7d8f69")
    pen = ImageDraw.Draw(image)
    pen.rectangle((200, 190, 440, 380), fill="#c49a6c", outline="#6b4f2f", width=4)
    pen.rectangle((305, 190, 335, 380), fill="#e3c9a0")
    pen.text((320, 90), "TEST", fill="white", anchor="mm", font=ImageFont.load_default(96))
    encoded = BytesIO()
    image.save(encoded, "PNG")
    return encoded.getvalue()
