import signal
import threading
from types import FrameType
from typing import Any

from django.core.management.base import BaseCommand

from wingxtra import broker
from wingxtra.observability import metrics


class Command(BaseCommand):
    help = "Send the ticks of the schedule. A second process stands by and takes over."

    def handle(self, **options: Any) -> None:
        stop = threading.Event()

        def ask_to_stop(signum: int, frame: FrameType | None) -> None:
            stop.set()

        signal.signal(signal.SIGTERM, ask_to_stop)
        signal.signal(signal.SIGINT, ask_to_stop)
        broker.load_actors()
        metrics.share()
        broker.run_schedule(stop)
