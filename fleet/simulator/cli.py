"""The simulator's command line. It runs until SIGTERM or SIGINT."""

import argparse
import json
import logging
import signal
import sys
from pathlib import Path
from typing import Any

from fleet.simulator.airframe import SimDrone
from fleet.simulator.faults import board
from fleet.simulator.flight import Handling
from fleet.simulator.run import TICK_S, Simulator

FAULT_HELP = (
    "KIND[:DRONE][@IN_S][+FOR_S][,name=value], in seconds of the world's clock, for example "
    "lose-link:WX-DRN-003@30+60 or bridge-500,times=3 or garbage@20,how=truncated. Kinds: "
    + "; ".join(f"{kind}: {what}" for kind, what in board.KINDS.items())
).replace("%", "%%")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--drones",
        type=load_drones,
        required=True,
        metavar="FILE",
        help="JSON list of drones: home, battery, powers, speeds, payload, charger",
    )
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0, help="0: a free port, which is printed")
    parser.add_argument("--speed", type=float, default=1.0, help="world seconds per real second")
    parser.add_argument(
        "--tick-s", type=float, default=TICK_S, help="seconds between two messages of a drone"
    )
    parser.add_argument("--seed", type=int, default=1, help="random seed of wind and noise")
    parser.add_argument("--fleet-key", help="X-API-Key that readers of telemetry must send")
    parser.add_argument("--bridge-key", help="X-API-Key that senders of intents must send")
    events = parser.add_mutually_exclusive_group(required=True)
    events.add_argument("--events-url", help="base URL of the API that gets mission events")
    events.add_argument("--no-events", action="store_true", help="fly without reports")
    parser.add_argument("--events-key", help="X-API-Key to send with mission events")
    parser.add_argument(
        "--report-pickup",
        action="store_true",
        help="report PICKED_UP when a drone has loaded its parcel",
    )
    parser.add_argument("--preflight-s", type=float, default=Handling().preflight_s)
    parser.add_argument("--load-s", type=float, default=Handling().load_s)
    parser.add_argument("--drop-s", type=float, default=Handling().drop_s)
    parser.add_argument(
        "--fault",
        action="append",
        default=[],
        type=parse_fault,
        dest="faults",
        metavar="FAULT",
        help=FAULT_HELP,
    )
    parser.add_argument(
        "--state", type=Path, metavar="FILE", help="file that keeps the world over a restart"
    )


def load_drones(text: str) -> list[SimDrone]:
    try:
        entries = json.loads(Path(text).read_text())
        if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
            raise ValueError("it must be a JSON list of objects")
        return [SimDrone.from_dict(entry) for entry in entries]
    except (OSError, ValueError) as error:
        raise argparse.ArgumentTypeError(f"{text}: {error}") from error


def parse_fault(text: str) -> board.Fault:
    try:
        return board.parse(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def run(options: dict[str, Any]) -> None:
    """Serves until a signal arrives. Raises SystemExit with a message if it cannot start."""
    logging.basicConfig(format="simulator: %(message)s", level=logging.WARNING)
    # Blocked before any thread starts, so that every thread leaves the signals to sigwait.
    signals = {signal.SIGTERM, signal.SIGINT}
    signal.pthread_sigmask(signal.SIG_BLOCK, signals)
    try:
        simulator = Simulator(
            options["drones"],
            speed=options["speed"],
            tick_s=options["tick_s"],
            seed=options["seed"],
            host=options["host"],
            port=options["port"],
            fleet_key=options["fleet_key"],
            bridge_key=options["bridge_key"],
            events_url=options["events_url"],
            events_key=options["events_key"],
            handling=Handling(options["preflight_s"], options["load_s"], options["drop_s"]),
            faults=options["faults"],
            state_path=options["state"],
            report_pickup=options["report_pickup"],
        )
    except (OSError, ValueError, KeyError, TypeError) as error:
        where = f"{options['host']}:{options['port']}, state {options['state']}"
        raise SystemExit(f"The simulator cannot start ({where}): {error!r}") from error
    with simulator:
        sys.stdout.write(f"listening on {simulator.url}\n")
        sys.stdout.flush()
        signal.sigwait(signals)
