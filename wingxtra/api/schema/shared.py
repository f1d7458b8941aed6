"""The headers and parameters that all calls share."""

from wingxtra.api import idempotency, request_id
from wingxtra.api.contracts import Schema
from wingxtra.api.schema import IDEMPOTENCY_KEY
from wingxtra.api.schema.components import component

HEADERS: dict[str, Schema] = {
    request_id.HEADER: {
        "description": "The id of the request; quote it when you ask us about the request.",
        "required": True,
        "schema": {"type": "string", "pattern": "^[A-Za-z0-9._-]{1,128}$"},
        "example": "b2f7c1d4e5a6478f9a0b1c2d3e4f5a6b",
    },
    "RateLimit-Limit": {
        "description": "How many calls are allowed; also as X-RateLimit-Limit.",
        "schema": {"type": "integer"},
        "example": 6000,
    },
    "RateLimit-Remaining": {
        "description": "How many of them are left; also as X-RateLimit-Remaining.",
        "schema": {"type": "integer"},
        "example": 5999,
    },
    "RateLimit-Reset": {
        "description": "In how many seconds there is one more; also as X-RateLimit-Reset.",
        "schema": {"type": "integer"},
        "example": 60,
    },
    idempotency.REPLAYED: {
        "description": "Present when this is the stored answer of an earlier request.",
        "schema": {"const": "true"},
        "example": "true",
    },
    "Location": {
        "description": "Address of the created object.",
        "schema": {"type": "string", "format": "uri-reference"},
        "example": "/api/v1/orders/0b6f0c1e-6d0f-4a3a-9a51-3b8f3f6f2a10",
    },
    "Retry-After": {
        "description": "Seconds to wait before the next try.",
        "schema": {"type": "integer", "minimum": 1},
        "example": 5,
    },
    "WWW-Authenticate": {
        "description": "How to authenticate.",
        "schema": {"type": "string"},
        "example": 'Bearer realm="api"',
    },
}
COMMON_HEADERS = [request_id.HEADER, "RateLimit-Limit", "RateLimit-Remaining", "RateLimit-Reset"]
PROBLEM_HEADERS = {401: ["WWW-Authenticate"], 409: ["Retry-After"], 429: ["Retry-After"]}
PROBLEM_HEADERS[503] = ["Retry-After"]

PARAMETERS: dict[str, Schema] = {
    "RequestId": {
        "name": request_id.HEADER,
        "in": "header",
        "description": (
            "Your own id of the request: up to 128 letters, digits, “.”, “_” and “-”. It is "
            "echoed, and it is in our logs; for anything else we make one."
        ),
        "schema": {"type": "string"},
    },
    IDEMPOTENCY_KEY: {
        "name": idempotency.HEADER,
        "in": "header",
        "description": (
            "Any text of yours that names this request. Sent again with the same key and body "
            "within 24 hours, it is not carried out again: you get the first answer."
        ),
        "schema": {"type": "string", "minLength": 1, "maxLength": idempotency.MAX_LENGTH},
    },
    "WebhookId": {
        "name": "webhook-id",
        "in": "header",
        "required": True,
        "description": "The same whenever the message is sent again.",
        "schema": {"type": "string"},
    },
    "WebhookTimestamp": {
        "name": "webhook-timestamp",
        "in": "header",
        "required": True,
        "description": "Of this try, in seconds.",
        "schema": {"type": "string"},
    },
    "WebhookSignature": {
        "name": "webhook-signature",
        "in": "header",
        "required": True,
        "description": "By the Standard Webhooks scheme, with the webhook's secret.",
        "schema": {"type": "string"},
    },
}


def headers(names: list[str]) -> Schema:
    return {name: component("headers", name) for name in names}
