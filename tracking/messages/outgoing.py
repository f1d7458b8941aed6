"""What a channel sends, and how it fails."""

from dataclasses import dataclass
from uuid import UUID

# 4xx statuses that HTTP calls temporary, or that blame our key or URL and not the message.
RETRYABLE_STATUSES = (401, 403, 404, 408, 425, 429)


class NotSent(Exception):
    """The text is for staff. `permanent`: a retry would fail as well."""

    def __init__(self, why: str, *, permanent: bool = False) -> None:
        super().__init__(why)
        self.permanent = permanent


@dataclass(frozen=True, slots=True)
class Message:
    """`id` is the same in each try, so that a gateway can drop duplicates."""

    id: UUID
    address: str
    subject: str
    text: str
    language: str


def is_permanent(status: int) -> bool:
    """Whether an HTTP status says that the same message would be refused again."""
    return 400 <= status < 500 and status not in RETRYABLE_STATUSES
