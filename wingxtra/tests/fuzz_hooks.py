"""Hooks for Schemathesis: replace some random values by meaningful ones of the demo city.

Only valid values are replaced, by valid ones; invalid ones stay invalid.
"""

import os
import re
from typing import Any

import schemathesis

UUID = re.compile("[0-9a-f]{8}-([0-9a-f]{4}-){3}[0-9a-f]{12}")
RIGHT = re.compile(rf"{UUID.pattern}|\d{{4}}-\d\d-\d\dT.+")
LAT, LNG = (5.600, 5.650), (-0.240, -0.200)


def _into(bounds: tuple[float, float], value: float) -> float:
    low, high = bounds
    return round(low + value % 1 * (high - low), 5)


def _is_number(value: Any, limit: float) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= limit


def _meaning(name: str, value: Any) -> Any:
    if name.endswith("lat") and _is_number(value, 90):
        return _into(LAT, value)
    if name.endswith("lng") and _is_number(value, 180):
        return _into(LNG, value)
    if name == "payload_weight_kg" and _is_number(value, 1000) and value > 0:
        return _into((0.1, 2), value)
    if name.endswith("accuracy_m") and _is_number(value, 1e9) and value >= 0:
        return _into((1, 10), value)
    if name == "drone_id" and isinstance(value, str) and 0 < len(value) <= 64:
        return os.environ["FUZZ_DRONE"]
    if name == "url" and isinstance(value, str) and 0 < len(value) <= 2000:
        return "https://shop.example.com/hooks"
    return value


# An empty filter, as forms send it, is like none; so is an empty e-mail address. Code generators
# cannot express that, so the schema does not say it. Such calls prove nothing.
@schemathesis.hook
def filter_case(context: Any, case: Any) -> bool:
    """Filters the whole case: the phase `coverage` asks no filter of its parts."""
    query = {name: value for name, value in (case.query or {}).items() if name != "cursor"}
    return not any(value in ("", [""]) for value in query.values())


@schemathesis.hook
def filter_body(context: Any, body: Any) -> bool:
    return not isinstance(body, dict) or "" not in (
        body.get("customer_email"),
        body.get("photo_url"),
    )


@schemathesis.hook
def map_body(context: Any, body: Any) -> Any:
    if not isinstance(body, dict):
        return body
    body = {name: _meaning(name, value) for name, value in body.items()}
    if "pickup_lat" in body or "url" in body or {"name", "lat"} <= body.keys():
        if "merchant_id" not in body or UUID.fullmatch(str(body["merchant_id"])):
            body["merchant_id"] = os.environ["FUZZ_MERCHANT"]
        for name in ("quote_id", "not_before", "deliver_by"):
            if RIGHT.fullmatch(str(body.get(name))):
                del body[name]
    return body
