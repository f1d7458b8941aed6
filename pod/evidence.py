"""The record of a delivery on one printable page, for a merchant's use in a dispute."""

import base64
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

from django.db.models.fields.files import FieldFile

from orders.api.serializers import event_json, order_json
from orders.models import Order
from orders.states import EventType
from pod.models import ProofOfDelivery
from pod.pictures import images
from pod.pictures.sketch import Place, Sketch, drawn
from wingxtra.accounts.identity import STAFF_ROLES, Caller
from wingxtra.console.admin import said_by

TYPES = {"jpg": "image/jpeg", "png": "image/png"}
# Functions that return the measured flight path of an order as (lat, lng). Registered by apps that
# keep flights, because `pod` cannot import them.
flight_paths: list[Callable[[Order], Sequence[tuple[float, float]]]] = []


def record_context(order: Order, to: Caller, now: datetime) -> dict[str, Any]:
    """The context of pod/record.html: of order and events only what the API shows to `to`."""
    proof: ProofOfDelivery | None = getattr(order, "proof", None)
    events = [
        {**event_json(event, to), "label": EventType(event.type).label} for event in order.history()
    ]
    for event in events:
        event["actor"] = said_by(str(event["actor"]))
    picture, is_missing = _picture(proof) if proof else ("", False)
    return {
        "order": order,
        "order_json": order_json(order, to, now),
        "events": events,
        "proof": proof,
        # Staff write them for each other.
        "notes": list(order.notes.all()) if to.role in STAFF_ROLES else [],
        # Merchants do not see which member of staff recorded it.
        "recorded_by": proof and (said_by(proof.recorded_by) if to.role in STAFF_ROLES else ""),
        "picture": picture,
        "picture_is_missing": is_missing,
        "flight": _flight(order),
        "drop": _drop(order, proof),
        "printed_at": now,
    }


def _picture(proof: ProofOfDelivery) -> tuple[str, bool]:
    """As `embedded`."""
    if proof.strokes and not proof.image:
        return _data_url("image/svg+xml", images.drawn(proof.strokes)), False
    return embedded(proof.image)


def embedded(picture: FieldFile) -> tuple[str, bool]:
    """The picture as a data: URL, because a saved page outlives a link; and whether it is lost."""
    if not picture:
        return "", False
    kind = TYPES[str(picture.name).rpartition(".")[2]]
    try:
        with picture.open("rb") as file:
            return _data_url(kind, file.read()), False
    except FileNotFoundError:
        return "", True


def _data_url(kind: str, content: bytes) -> str:
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"


def _flight(order: Order) -> Sketch:
    pickup = Place("Pickup", "pickup", order.pickup_lat, order.pickup_lng)
    path = [point for path_of in flight_paths for point in path_of(order)]
    return drawn([pickup, _drop_point(order)], path)


def _drop(order: Order, proof: ProofOfDelivery | None) -> Sketch | None:
    """The surroundings of the drop point; None when there is nothing to compare it with."""
    places = [_drop_point(order)]
    if order.given_lat is not None and order.given_lng is not None:
        places.append(Place("As first given", "given", order.given_lat, order.given_lng))
    if proof and proof.drone_lat is not None and proof.drone_lng is not None:
        places.append(Place("Drone at the proof", "drone", proof.drone_lat, proof.drone_lng))
    return drawn(places) if len(places) > 1 else None


def _drop_point(order: Order) -> Place:
    return Place("Drop point", "drop", order.dropoff_lat, order.dropoff_lng)
