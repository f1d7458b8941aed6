"""The image of `Dockerfile` and the services of `compose.yaml`, without a container engine.

The steps of `Dockerfile` run in a scratch folder. A service is started with the command, the
environment and the secrets that the real Compose program reads from `compose.yaml`. Only paths and
ports differ: `/app`, `/venv`, `/media`, `/tmp` and `/run/secrets` are below the scratch folder, and
ports are free ones. Not tested: the base images, the networks, the limits.

Packages are not downloaded again. The scratch virtualenv links to the installed packages that
`requirements/base.txt` pins, in the pinned versions, without those that `Dockerfile` removes. So
packages that production does not install are missing.
"""

import importlib.metadata
import json
import os
import re
import shlex
import subprocess
import sys
import venv
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement

ROOT = Path(__file__).parents[2]
# The variables that docs/deploy.md tells its reader to set.
FILLED_IN = {
    "ALLOWED_HOSTS": "delivery.example.com",
    "PUBLIC_BASE_URL": "https://delivery.example.com",
    "FLEET_API_URL": "http://simulator:8100",
    "GCS_BRIDGE_URL": "http://simulator:8100",
}


def compose(*command: str, **filled_in: str) -> "subprocess.CompletedProcess[str]":
    """The real Compose program, with the variables of docs/deploy.md."""
    return subprocess.run(
        [Path(sys.executable).with_name("docker-compose"), "--profile", "*", *command],
        cwd=ROOT,
        env={"PATH": os.environ["PATH"]} | FILLED_IN | filled_in,
        capture_output=True,
        text=True,
    )


def composed() -> dict[str, Any]:
    """`compose.yaml` as parsed by Compose, with every profile."""
    done = compose("config", "--format", "json")
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def web_command() -> list[str]:
    """The CMD of `Dockerfile`."""
    (command,) = [json.loads(rest) for what, rest in steps() if what == "CMD"]
    return list(command)


def steps() -> list[tuple[str, str]]:
    """The instructions of `Dockerfile`, each with its argument."""
    text = (ROOT / "Dockerfile").read_text()
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    joined = "\n".join(lines).replace("\\\n", " ")
    return [(line.split()[0], line.partition(" ")[2].strip()) for line in joined.splitlines()]


class Image:
    """The image of `Dockerfile` in `folder`. `moved` maps ports and texts to those of the test."""

    def __init__(self, folder: Path, moved: dict[str, str]) -> None:
        self.folder = folder
        for name in ("app", "media", "tmp", "secrets"):
            (folder / name).mkdir()
        self.moved = moved

    def here(self, text: str) -> str:
        """A text of Dockerfile or compose.yaml with the paths and ports of the test."""
        paths = {
            f"/{path}": str(self.folder / path.removeprefix("run/"))
            for path in ("run/secrets", "venv", "media", "tmp", "app")
        }
        of_paths = [rf"(?<![\w.])(?:{path})(?![\w.])" for path in paths]
        pattern = "|".join([*map(re.escape, self.moved), *of_paths])
        places = self.moved | paths
        return re.sub(pattern, lambda found: places[found[0]], text)

    # --- built ---

    def build(self) -> None:
        self._install()
        self._copy()
        for what, step in steps():
            if what == "RUN" and "manage.py" in step:
                shell = self.here(step.replace("/venv/lib", ""))  # compiling it takes a minute
                done = subprocess.run(
                    ["sh", "-c", shell],
                    cwd=self.folder / "app",
                    env={"PATH": os.environ["PATH"]},
                    capture_output=True,
                    text=True,
                )
                assert done.returncode == 0, done.stderr

    def _install(self) -> None:
        """Make the virtualenv from links to installed packages."""
        venv.create(self.folder / "venv", symlinks=True, with_pip=False)
        (packages,) = (self.folder / "venv" / "lib").glob("*/site-packages")
        removed = re.findall(r"pip uninstall --yes (.*)", "\n".join(s for _, s in steps()))
        gone = set(" ".join(removed).split())
        for line in re.findall(r"^\w.*==.*", self._base_txt, re.MULTILINE):
            pin = Requirement(line.rstrip(" \\"))
            if pin.name in gone or (pin.marker and not pin.marker.evaluate()):
                continue
            installed = importlib.metadata.distribution(pin.name)
            assert pin.specifier.contains(installed.version), f"{line}: {installed.version} is here"
            for file in installed.files or []:
                self._link(installed, file, packages)

    def _link(self, installed: Any, file: Any, packages: Path) -> None:
        real = Path(str(installed.locate_file(file)))
        if file.parts[0] != "..":
            top = packages / file.parts[0]
            if not top.exists() and file.parts[0] != "__pycache__":
                top.symlink_to(Path(str(installed.locate_file(""))) / file.parts[0])
        elif real.parent.name == "bin" and real.exists():
            script = self.folder / "venv" / "bin" / real.name
            python = self.folder / "venv" / "bin" / "python"
            script.write_bytes(real.read_bytes().replace(sys.executable.encode(), bytes(python), 1))
            script.chmod(0o755)

    @cached_property
    def _base_txt(self) -> str:
        return (ROOT / "requirements" / "base.txt").read_text()

    def _copy(self) -> None:
        """Copy the repository's files except those in `.dockerignore`."""
        rules = (ROOT / ".dockerignore").read_text().split()
        wanted = [rule[1:] for rule in rules if rule.startswith("!")]
        refused = {rule.removeprefix("**/") for rule in rules if rule.startswith("**/")}
        listed = subprocess.check_output(
            ["git", "ls-files", "--cached", "--others", "--exclude-standard", *wanted],
            cwd=ROOT,
            text=True,
        )
        for name in listed.splitlines():
            if not refused & set(Path(name).parts) and (ROOT / name).exists():
                target = self.folder / "app" / name
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes((ROOT / name).read_bytes())

    # --- run ---

    def environment(self, service: dict[str, Any]) -> dict[str, str]:
        """The environment of the image, updated by that of the service."""
        (last_stage,) = [rest for what, rest in steps() if what == "ENV" and "DJANGO" in rest]
        image = dict(word.split("=", 1) for word in shlex.split(last_stage))
        given = image | {k: str(v) for k, v in (service.get("environment") or {}).items()}
        environment = {name: self.here(value) for name, value in given.items()}
        environment["PATH"] = f"{self.folder}/venv/bin:{os.environ['PATH']}"
        return environment

    def command(self, service: dict[str, Any]) -> list[str]:
        """The command of the service; by default that of the image."""
        return [self.here(word) for word in service.get("command") or web_command()]

    def run(
        self, service: dict[str, Any], *command: str, **environment: str
    ) -> "subprocess.CompletedProcess[str]":
        """Like `docker compose run` or `exec`: another command in the same environment."""
        return subprocess.run(
            [self.here(word) for word in command] or self.command(service),
            cwd=self.folder / "app",
            env=self.environment(service) | environment,
            capture_output=True,
            text=True,
        )

    @contextmanager
    def running(self, service: dict[str, Any]) -> Iterator["subprocess.Popen[bytes]"]:
        with (
            (self.folder / "log").open("a") as log,
            subprocess.Popen(
                self.command(service),
                cwd=self.folder / "app",
                env=self.environment(service),
                stdout=log,
                stderr=log,
            ) as process,
        ):
            try:
                yield process
            finally:
                process.terminate()
                process.wait(60)

    def is_healthy(self, service: dict[str, Any]) -> bool:
        """The result of the service's own health check."""
        kind, *words = service["healthcheck"]["test"]
        words = [word.replace("$$", "$") for word in words]
        shell = ["sh", "-c"] if kind == "CMD-SHELL" else []
        return self.run(service, *shell, *words).returncode == 0
