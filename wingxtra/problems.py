"""What can go wrong in words: raised anywhere, answered by the API, the console and commands alike.

A problem says what happened, with the numbers, and what to do; its code is stable for machines.
"""

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class FieldProblem:
    """One thing wrong with one field of the input; `field` is empty where none is to blame."""

    field: str
    code: str
    message: str


class Problem(Exception):
    """Base of what we refuse. `extra` goes into the answer beside the standard members."""

    status = 400
    title = "The request cannot be carried out"
    # What the API says in `Retry-After`, where trying the same again can help.
    retry_after_s: int | None = None

    def __init__(self, code: str, detail: str, **extra: Any) -> None:
        super().__init__(detail)
        self.code = code
        self.detail = detail
        self.extra = extra


class Invalid(Problem):
    """Bad input: every problem of it at once, and nothing has been changed."""

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
    """The state of things does not allow it; trying the same again will not help by itself."""

    status = 409
    title = "The state does not allow it"


class Unavailable(Problem):
    """Something that we depend on is away; trying again later is right."""

    status = 503
    title = "Not available now"
    retry_after_s = 5
