"""The connection of one open page: what it is sent, and when it is given up."""

import asyncio
import random
import time
from dataclasses import dataclass, field

# A comment, so that a connection that is dead is noticed.
HEARTBEAT_S, HEARTBEAT = 15.0, b":\n\n"
# A client that takes nothing for so long is gone. Before that, the kernel keeps some events for it.
HUNG_S = 30.0
# When the browser connects again, in milliseconds: soon, or spread, for all at once.
SOON_MS, SPREAD_MS = (200, 400), (1_000, 5_000)


@dataclass(eq=False, slots=True)
class Stream:
    """The connection of one open page."""

    writer: asyncio.StreamWriter
    language: str
    sent_at_s: float = field(default_factory=time.monotonic)
    # The newest event, while the client has not taken those before it.
    late: bytes | None = None

    def tell(self, data: bytes) -> None:
        """The newest event replaces one that the client has not taken."""
        if is_behind(self.writer):
            self.late = data
        elif not self.writer.is_closing():
            self.late, self.sent_at_s = None, time.monotonic()
            self.writer.write(data)

    def tend(self, now_s: float) -> None:
        waited_s = now_s - self.sent_at_s
        if is_behind(self.writer):
            if waited_s > HUNG_S:
                self.writer.transport.abort()
        elif self.late is not None:
            self.tell(self.late)
        elif waited_s > HEARTBEAT_S:
            self.tell(HEARTBEAT)

    def end(self, retry_ms: tuple[int, int]) -> None:
        self.tell(retry(retry_ms))
        self.writer.close()


def is_behind(writer: asyncio.StreamWriter) -> bool:
    """Whether the client has not taken what was sent before."""
    return writer.transport.get_write_buffer_size() > 0


def retry(between_ms: tuple[int, int]) -> bytes:
    """When the browser connects again after the end of the stream."""
    return b"retry: %d\n\n" % random.randint(*between_ms)  # noqa: S311
