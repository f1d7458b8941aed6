"""`make bench`: benchmarks of API, console, open pages, dispatch and simulated days, as tables.

A value over its budget is marked and counted, but does not fail: the machine may be slow. A wrong
answer or an exception fails. The logs of the measured processes are kept only then.

    BENCH_SECONDS   of load at a time, three times for each call; 2
    BENCH_ONLY      a regular expression: only the calls whose names match
    BENCH_ORDERS    in the database for the console; 1,000,000, and 0 leaves the console out
    BENCH_PAGES     open tracking pages; 1,000, and 0 leaves them out
"""

import os
import platform
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import IO

from wingxtra.tests.bench import tables

PARTS = (
    ("-m", "wingxtra.tests.bench.production"),
    ("-m", "wingxtra.tests.bench.watchers"),
    # Without pytest's own copies of every log line.
    ("-m", "pytest", "-n", "0", "-m", "bench", "-p", "no:logging"),
)


def main() -> int:
    began_s = time.monotonic()
    print(f"{_processor()}, {os.cpu_count()} cores, Python {platform.python_version()}.")
    failed, over = [], 0
    with tempfile.NamedTemporaryFile("wb", prefix="bench-", suffix=".log", delete=False) as log:
        for part in PARTS:
            code, marked = _run(part, log)
            failed += [part] if code else []
            over += marked
    took_min = (time.monotonic() - began_s) / 60
    print(f"\n{_verdict(over)} It took {took_min:.0f} minutes.")
    if not failed:
        Path(log.name).unlink()
        return 0
    for part in failed:
        print(f"FAILED: python {' '.join(part)}")
    print(f"An answer was wrong or an error came up. The log: {log.name}")
    return 1


def _run(part: tuple[str, ...], log: IO[bytes]) -> tuple[int, int]:
    """Run one part and print its tables. Returns its exit code and the number of marked rows."""
    reader, writer = os.pipe()
    environment = os.environ | {tables.PIPE: str(writer)}
    with subprocess.Popen(
        [sys.executable, *part], stdout=log, stderr=log, pass_fds=[writer], env=environment
    ) as process:
        os.close(writer)
        marked = 0
        with os.fdopen(reader) as lines:
            for line in lines:
                print(line, end="", flush=True)
                marked += tables.MARK in line
    return process.returncode, marked


def _verdict(over: int) -> str:
    if not over:
        return "Every figure is within its budget."
    rows = "1 row is" if over == 1 else f"{over} rows are"
    return f"{rows} over budget: the machine is slow or busy, or the code has become slower."


def _processor() -> str:
    found = re.search(r"model name\s*: (.+)", Path("/proc/cpuinfo").read_text())
    return found[1] if found else platform.machine()


if __name__ == "__main__":
    sys.exit(main())
