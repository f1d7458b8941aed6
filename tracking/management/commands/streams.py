import asyncio
import resource
import signal
from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from tracking.stream.server import Server
from wingxtra.observability import metrics


class Command(BaseCommand):
    help = "Tell open tracking pages where their drones are, on /track/<id>/stream."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--host", default="127.0.0.1")
        parser.add_argument("--port", type=int, default=8001)

    def handle(self, *, host: str, port: int, **options: Any) -> None:
        # Usually 1,024, which are fewer than STREAMS_AT_ONCE.
        _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
        metrics.share()
        asyncio.run(_serve(host, port))


async def _serve(host: str, port: int) -> None:
    stop = asyncio.Event()
    for one in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(one, stop.set)
    await Server().run(host, port, stop, listens=lambda _: None)
