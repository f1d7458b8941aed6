"""`manage.py demo`: the whole product on one machine, with simulated orders and flights."""

import json
import os
import signal
import sys
import time
from argparse import ArgumentParser
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from fleet.demo import city, report
from fleet.demo.calls import DemoFailed
from fleet.demo.people import People, Unserved
from fleet.demo.processes import (
    AlreadyRunning,
    ProcessDied,
    Processes,
    answers,
    free_port,
    is_free,
)
from fleet.demo.seed import Credentials
from wingxtra.embedded import launcher

MANAGE = [sys.executable, "manage.py"]


class Command(BaseCommand):
    help = "Run web server, worker, scheduler and simulated flights, and place orders."
    requires_system_checks: list[str] = []
    said: set[str]

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--deliveries", type=int, help="Stop with a table after this many deliveries."
        )
        parser.add_argument(
            "--timeout", type=float, default=180, help="In seconds, with --deliveries."
        )
        parser.add_argument(
            "--port", type=int, default=8000, help="Port of the web server; 0: a free one."
        )
        parser.add_argument("--drones", type=int, default=12)
        parser.add_argument("--orders-per-minute", type=float, default=6)
        parser.add_argument("--speed", type=float, default=10, help="Time factor of the flights.")
        parser.add_argument("--seed", type=int, default=1, help="Seed of orders, wind and noise.")
        parser.add_argument(
            "--no-gcs-events", action="store_true", help="Track the flights by telemetry only."
        )

    def handle(self, *args: Any, **options: Any) -> None:
        if settings.IS_PRODUCTION:
            raise CommandError("The demo has users with a printed password: not in production.")
        signal.signal(signal.SIGTERM, _interrupt)
        try:
            self._run(options["port"] or free_port(), options)
        except KeyboardInterrupt:
            self.stdout.write("Stopped. The data is kept; start again to continue.")
        except (AlreadyRunning, ProcessDied, DemoFailed) as failure:
            raise CommandError(str(failure)) from failure

    def _run(self, port: int, options: dict[str, Any]) -> None:
        base_url = f"http://127.0.0.1:{port}"
        simulator_port = free_port()
        home = Path(settings.BASE_DIR) / ".local" / "demo"
        env = os.environ | {
            "ENVIRONMENT": "demo",
            "PUBLIC_BASE_URL": base_url,
            "FLEET_API_URL": f"http://127.0.0.1:{simulator_port}",
            "GCS_BRIDGE_URL": f"http://127.0.0.1:{simulator_port}",
            "PYTHONUNBUFFERED": "1",
        }
        with ExitStack() as at_the_end, Processes(home, env) as processes:
            at_the_end.callback(_stop_servers)
            if not is_free(port):
                raise DemoFailed(f"Port {port} is in use; choose another with --port.")
            self.stdout.write("Preparing the database (up to a minute) ...")
            processes.run("migrate", "--verbosity", "0")
            drones = str(options["drones"])
            seeded = processes.run("seed_demo", "--upkeep", "--drones", drones)
            credentials = Credentials(**json.loads(seeded))
            self.stdout.write("Starting simulator, web server, worker and scheduler ...")
            self._start(processes, home, port, simulator_port, credentials, options)
            processes.wait_for("web server", lambda: answers(f"{base_url}/health"))
            self._welcome(base_url, credentials, home)
            people = People(base_url, credentials, options["seed"])
            self._run_orders(processes, people, options)

    def _start(
        self,
        processes: Processes,
        home: Path,
        port: int,
        simulator_port: int,
        credentials: Credentials,
        options: dict[str, Any],
    ) -> None:
        fleet_file = home / "fleet.json"
        fleet_file.write_text(json.dumps(city.simulated(options["drones"]), indent=1))
        events = (
            ["--no-events"]
            if options["no_gcs_events"]
            else ["--events-url", f"http://127.0.0.1:{port}", "--events-key", credentials.gcs_key]
        )
        processes.start(
            "simulator",
            [
                *[sys.executable, "-m", "fleet.simulator"],
                *["--drones", str(fleet_file), "--port", str(simulator_port)],
                *["--speed", str(options["speed"]), "--seed", str(options["seed"])],
                *["--state", str(home / "simulator.json")],
                *events,
            ],
        )
        processes.start("web server", web_command(port))
        processes.start("worker", [*MANAGE, "worker", "--processes", "1", "--threads", "4"])
        processes.start("scheduler", [*MANAGE, "scheduler"])

    def _welcome(self, base_url: str, credentials: Credentials, home: Path) -> None:
        self.stdout.write(
            f"\nWingxtra Delivery is running.\n"
            f"  console   {base_url}/admin/     users admin, ops; password {credentials.password}\n"
            f"  merchants {base_url}/merchant/  user merchant; the same password\n"
            f"  API       {base_url}/api/docs   the shops' keys: "
            + ", ".join(f"{name}: {key}" for name, key in credentials.shop_keys.items())
            + f"\n  logs      {home / 'logs'}\nCtrl-C stops everything.\n"
        )

    def _run_orders(self, processes: Processes, people: People, options: dict[str, Any]) -> None:
        """Places orders and prints their events; without --deliveries until Ctrl-C."""
        self.said = set()
        wanted: int | None = options["deliveries"]
        interval_s = 60 / options["orders_per_minute"] if options["orders_per_minute"] else None
        started = time.monotonic()
        next_order_at = started
        while True:
            processes.check()
            if interval_s and time.monotonic() >= next_order_at:
                next_order_at += interval_s
                self._place_order(people)
            for story, event in people.catch_up():
                if line := report.line(story, event):
                    self.stdout.write(line)
            done = [s for s in people.stories if s.status == "DELIVERED" and s.proof]
            if wanted and len(done) >= wanted:
                self.stdout.write(report.table(done[:wanted], options["speed"]))
                return
            if wanted and time.monotonic() - started > options["timeout"]:
                raise DemoFailed(
                    f"Only {len(done)} of {wanted} orders were delivered with proof within "
                    f"{options['timeout']:.0f} s.\n"
                    + report.table(people.stories, options["speed"])
                )
            time.sleep(0.5)

    def _place_order(self, people: People) -> None:
        """The next shop's order, or a sentence for a shop that cannot send, once per reason."""
        try:
            self.stdout.write(report.placed(people.place_order()))
        except Unserved as unserved:
            if str(unserved) not in self.said:
                self.said.add(str(unserved))
                self.stdout.write(report.skipped(str(unserved)))


def web_command(port: int) -> list[str]:
    """The web server as in production (compose.yaml), on loopback."""
    return [
        *[str(Path(sys.executable).with_name("granian")), "--interface", "wsgi"],
        *["--host", "127.0.0.1", "--port", str(port), "--workers", "1"],
        *["--blocking-threads", "64", "--no-ws", "wingxtra.wsgi:application"],
    ]


def _stop_servers() -> None:
    """Only the demo stops the embedded servers: its Ctrl-C stops everything."""
    root = Path(settings.BASE_DIR)
    if {os.environ["DATABASE_URL"], os.environ["REDIS_URL"]} & set(launcher.status(root).values()):
        launcher.stop(root)


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt
