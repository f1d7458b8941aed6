"""`make test-clients`: fetch the generators and linters, and run the tests marked “clients”.

They come from PyPI and npm, each pinned, into a folder that is removed at the end. Where these are
not reachable it says so and is content.
"""

import os
import subprocess
import sys
import venv
from pathlib import Path
from tempfile import TemporaryDirectory

HERE = Path(__file__).parent
QUICKLY = {
    "PIP_DEFAULT_TIMEOUT": "10",
    "PIP_RETRIES": "0",
    "PIP_DISABLE_PIP_VERSION_CHECK": "1",
    "npm_config_fetch_retries": "0",
    "npm_config_fetch_timeout": "10000",
}


def main() -> int:
    with TemporaryDirectory(prefix="clients-") as folder:
        workshop = Path(folder)
        if not _answers(sys.executable, "-m", "pip", "index", "versions", "attrs"):
            print("Not run here: the tests marked “clients”, which need PyPI.")
            return 0
        venv.create(workshop / "venv", with_pip=True)
        tools = workshop / "venv" / "bin"
        pip = [tools / "python", "-m", "pip", "install", "-qq", "--disable-pip-version-check"]
        _run(*pip, "--require-hashes", "--no-deps", "-r", HERE / "tools.txt")
        os.environ["PATH"] = f"{tools}:{os.environ['PATH']}"
        if not _answers(tools / "npm", "ping"):
            print("Not run here: the tests marked “clients”, which need npm's registry.")
            return 0
        for name in ("package.json", "package-lock.json"):
            (workshop / name).write_text((HERE / name).read_text())
        quiet = ("--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error")
        _run(tools / "npm", "ci", *quiet, cwd=workshop)
        os.environ["CLIENTS_WORKSHOP"] = folder
        return subprocess.call([sys.executable, "-m", "pytest", "-n", "2", "-m", "clients"])


def _answers(*command: str | Path) -> bool:
    done = subprocess.run(command, env=os.environ | QUICKLY, capture_output=True)
    return done.returncode == 0


def _run(*command: str | Path, cwd: Path | None = None) -> None:
    subprocess.run(command, check=True, cwd=cwd)


if __name__ == "__main__":
    sys.exit(main())
