"""The GCS bridge: answers to intents and cancels, with and without faults."""

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


class ConnectionDropped(Exception):
    """A fault closes the connection without an answer."""


def accept(world: World, body: Any, key: str | None) -> Answer:
    """Accepts an intent. key: the Idempotency-Key. Raises Refused."""
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
        "detail": f"Mission {intent_id} was accepted already ({status}).",
        "intent_id": intent_id,
        "status": status,
    }


def cancel(world: World, intent_id: str, body: Any) -> Answer:
    """Withdraws or aborts a mission. Raises Refused."""
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
    """The answer to a request under a fault. Raises ConnectionDropped, Refused.

    effect: handles the request and returns the regular answer. wait: sleeps for real seconds,
    True if the server stops during that time.
    """
    answer = effect() if fault.after else None
    match fault.kind:
        case "bridge_down":
            raise ConnectionDropped
        case "bridge_500":
            return 500, {"code": "internal_error", "detail": "The bridge has a fault."}
        case "bridge_reject":
            raise Refused("rejected", "The operator's safety rules do not allow this mission.")
        case "refuse_form":
            return _unprocessable([["mission_type"]], "missing", "Field required")
        case "strict_members":
            strange = strange_members(body)
            if strange:
                message = "Extra inputs are not permitted"
                return _unprocessable(strange, "extra_forbidden", message)
            return answer or effect()
        case "no_cancel_route":
            return 404, {"detail": "Not Found"}
        case "cancel_word":
            return fault.status or 200, {} if fault.word is None else {"status": fault.word}
    if wait(fault.seconds or 0.0):
        raise ConnectionDropped
    answer = answer or effect()
    if fault.kind == "accept_silently":
        raise ConnectionDropped
    return answer


def _unprocessable(paths: list[list[str]], kind: str, message: str) -> Answer:
    """A 422 in the format of a common web framework."""
    detail = [{"type": kind, "loc": ["body", *path], "msg": message} for path in paths]
    return 422, {"detail": detail}
