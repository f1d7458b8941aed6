"""Expected errors, raised in all layers and shown by the API, the console and commands.

A problem says what happened, with the numbers, and what to do. Its code is stable for machines.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any


@dataclass(frozen=True, slots=True)
class FieldProblem:
    """One error in one field of the input; `field` is empty if it is about no single field.

    until: when it is over by itself, if it ever is and that is known.
    """

    field: str
    code: str
    message: str
    until: datetime | None = None


class Problem(Exception):
    """Base class. `extra` is added to the response beside the standard members."""

    status = 400
    title = "The request cannot be carried out"
    # For the header `Retry-After`, if the same request may succeed later.
    retry_after_s: int | None = None

    def __init__(self, code: str, detail: str, **extra: Any) -> None:
        super().__init__(detail)
        self.code = code
        self.detail = detail
        self.extra = extra


class Invalid(Problem):
    """Bad input, with all its problems. Nothing has been changed."""

    title = "The input is not valid"

    def __init__(self, errors: list[FieldProblem], code: str = "invalid") -> None:
        super().__init__(code, " ".join(error.message for error in errors))
        self.errors = errors


class NotFound(Problem):
    status = 404
    title = "Not found"

    def __init__(self, what: str = "order") -> None:
        super().__init__("not_found", f"There is no such {what}.")


class Conflict(Problem):
    """The current state does not allow the request; a retry alone will not help."""

    status = 409
    title = "The state does not allow it"


class Unavailable(Problem):
    """A system that we depend on is down; a later retry may succeed."""

    status = 503
    title = "Not available now"
    retry_after_s = 5
