"""`make audit`: the pinned production requirements against published vulnerabilities.

pip-audit asks the first source of advisories that can be reached. Where there is none, this says
that nothing was audited and is content.
"""

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import requests

REQUIREMENTS = Path(__file__).parents[2] / "requirements" / "base.txt"
TIMEOUT_S = 10
# Has known holes: a source that tells of none cannot be asked about others.
KNOWN = {"package": {"name": "django", "ecosystem": "PyPI"}, "version": "2.2"}
NOTHING = (
    "NOTHING WAS AUDITED: no source of advisories answers from here. Run `make audit` where\n"
    "pypi.org or api.osv.dev can be reached."
)


@dataclass(frozen=True, slots=True)
class Source:
    """`options`: how pip-audit is told to use it."""

    name: str
    method: str
    url: str
    member: str
    options: tuple[str, ...]

    def why_not(self) -> str | None:
        """Why it cannot be asked; None if it tells of a hole that is known."""
        try:
            answer = requests.request(self.method, self.url, json=KNOWN, timeout=TIMEOUT_S)
            answer.raise_for_status()
            told = answer.json().get(self.member)
        except (requests.RequestException, AttributeError) as error:
            return f"{type(error).__name__}: {error}"
        return None if told else "It tells of no hole in Django 2.2."


def osv(url: str) -> Source:
    return Source("OSV", "POST", url, "vulns", ("--vulnerability-service=osv", f"--osv-url={url}"))


SOURCES = (
    Source("PyPI", "GET", "https://pypi.org/pypi/django/2.2/json", "vulnerabilities", ()),
    osv("https://api.osv.dev/v1/query"),
)


def audit(sources: tuple[Source, ...], requirements: Path) -> int:
    """The exit code: pip-audit's, or 0 if no source could be asked."""
    for source in sources:
        if why_not := source.why_not():
            print(f"{source.name} cannot be asked. {why_not}", flush=True)
            continue
        # Without --strict it would pass over packages that it could not audit.
        command = [sys.executable, "-m", "pip_audit", "--strict", "--no-deps", "--disable-pip"]
        arguments = [*source.options, "-r", str(requirements)]
        return subprocess.run([*command, *arguments]).returncode
    print(NOTHING, flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(audit(SOURCES, REQUIREMENTS))
