"""What goes with every public answer: nobody indexes it, and no link leaks its address."""

from typing import TypeVar

from django.http.response import HttpResponseBase

CONTENT_SECURITY_POLICY = (
    "default-src 'none'; style-src 'self'; img-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)

Answer = TypeVar("Answer", bound=HttpResponseBase)


def add(answer: Answer, *, kept_s: int | None = None) -> Answer:
    """`kept_s`: for how long anybody on the way may keep the answer; None for nobody at all."""
    answer["Cache-Control"] = "no-store" if kept_s is None else f"public, max-age={kept_s}"
    answer["Referrer-Policy"] = "no-referrer"
    answer["X-Robots-Tag"] = "noindex, nofollow"
    answer["Content-Security-Policy"] = CONTENT_SECURITY_POLICY
    return answer
