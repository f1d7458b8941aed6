"""The GCS bridge: what it answers to an intent and to a cancel, well or under a fault."""

from collections.abc import Callable
from typing import Any

from fleet.simulator.faults.board import Fault
from fleet.simulator.intents import check_intent, strange_members
from fleet.simulator.missions import Refused
from fleet.simulator.world import World

INTENT_FAULTS = (
    *("bridge_down", "bridge_hang", "bridge_500", "bridge_reject"),
    *("refuse_form", "strict_members", "accept_silently"),
)
CANCEL_FAULTS = (
    *("bridge_down", "bridge_hang", "bridge_500", "bridge_reject"),
    *("no_cancel_route", "cancel_word"),
)

Answer = tuple[int, dict[str, Any]]


class HungUp(Exception):
    """A fault asks for the connection to be closed without an answer."""


def accept(world: World, body: Any, key: str | None) -> Answer:
    """key: the Idempotency-Key. Raises Refused."""
    intent = check_intent(body)
    intent_id = intent["intent_id"]
    if key != intent_id:
        raise Refused(
            "idempotency_key_mismatch",
            f"Idempotency-Key is {key!r}; it must be the intent_id, {intent_id}.",
        )
    is_new = world.accept(intent)
    status = world.missions[intent_id].status
    if is_new:
        return 201, {"intent_id": intent_id, "status": status}
    return 409, {
        "code": "already_accepted",
        "detail": f"Mission {intent_id} is here already ({status}).",
        "intent_id": intent_id,
        "status": status,
    }


def cancel(world: World, intent_id: str, body: Any) -> Answer:
    """Raises Refused."""
    mode = body.get("mode") if isinstance(body, dict) else None
    if mode not in {"withdraw", "abort"}:
        raise Refused("malformed_cancel", f'mode is {mode!r}; it is "withdraw" or "abort".')
    try:
        outcome = world.cancel(intent_id, mode)
    except KeyError:
        return 404, {"code": "unknown_intent", "detail": f"No mission {intent_id} was accepted."}
    status = {"withdrawn": 200, "abort_requested": 202}.get(outcome, 409)
    return status, {"intent_id": intent_id, "status": outcome}


def under_fault(
    fault: Fault, body: Any, effect: Callable[[], Answer], wait: Callable[[float], bool]
) -> Answer:
    """What a fault makes of a request; `effect` does what was asked and gives the good answer.

    wait: so many real seconds, True when the server stops meanwhile. Raises HungUp, Refused.
    """
    answer = effect() if fault.after else None
    match fault.kind:
        case "bridge_down":
            raise HungUp
        case "bridge_500":
            return 500, {"code": "internal_error", "detail": "The bridge has a fault."}
        case "bridge_reject":
            raise Refused("rejected", "The operator's safety rules do not allow this mission.")
        case "refuse_form":
            return _unprocessable([["mission_type"]], "missing", "Field required")
        case "strict_members":
            strange = strange_members(body)
            if strange:
                words = "Extra inputs are not permitted"
                return _unprocessable(strange, "extra_forbidden", words)
            return answer or effect()
        case "no_cancel_route":
            return 404, {"detail": "Not Found"}
        case "cancel_word":
            return fault.status or 200, {} if fault.word is None else {"status": fault.word}
    if wait(fault.seconds or 0.0):
        raise HungUp
    answer = answer or effect()
    if fault.kind == "accept_silently":
        raise HungUp
    return answer


def _unprocessable(paths: list[list[str]], kind: str, words: str) -> Answer:
    """As a common framework says that a body has not the form that it knows."""
    detail = [{"type": kind, "loc": ["body", *path], "msg": words} for path in paths]
    return 422, {"detail": detail}
