"""`make sbom` and `make audit`: what production installs, and whether holes in it are known."""

import json
import re
import subprocess
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings

from wingxtra.tests import audit

ROOT = Path(settings.BASE_DIR)
PINNED = re.compile(
    r"^([a-z0-9.-]+)(?:\[[a-z0-9,]+\])?==(\S+)(?: ; .*)? \\\n((?: +--hash=.*\n)+)", re.MULTILINE
)
HOLE = {
    "id": "PYSEC-0000-1",
    "summary": "A hole.",
    "affected": [{"package": {"name": "django", "ecosystem": "PyPI"}}],
}


def pinned() -> set[tuple[str, str, frozenset[str]]]:
    """(name, version, hashes) of requirements/base.txt; two versions if Python decides."""
    text = (ROOT / "requirements" / "base.txt").read_text()
    found = {
        (name, version, frozenset(re.findall(r"sha256:([0-9a-f]{64})", hashes)))
        for name, version, hashes in PINNED.findall(text)
    }
    assert len(found) == len(re.findall(r"^[a-z]\S+==", text, re.MULTILINE))
    return found


# --- the bill of materials -----------------------------------------------------------------------


@pytest.fixture(scope="module")
def bill() -> dict[str, Any]:
    make = ["make", "sbom", "TEST="]  # the environment of the tests is installed
    subprocess.run(make, cwd=ROOT, check=True, capture_output=True)
    written: dict[str, Any] = json.loads((ROOT / ".local" / "sbom.cdx.json").read_text())
    return written


def test_the_bill_has_every_pinned_package_with_its_version_and_hashes(bill: Any) -> None:
    told = {
        (
            part["name"],
            part["version"],
            frozenset(h["content"] for ref in part["externalReferences"] for h in ref["hashes"]),
        )
        for part in bill["components"]
    }
    assert told == pinned()


def test_the_bill_names_what_it_is_of(bill: Any) -> None:
    assert (bill["bomFormat"], bill["specVersion"]) == ("CycloneDX", "1.6")
    assert bill["metadata"]["component"]["name"] == "wingxtra-delivery"


# --- the audit -----------------------------------------------------------------------------------


class Advisories(BaseHTTPRequestHandler):
    """OSV, as far as pip-audit asks it. `holes`: the answer per (package, version)."""

    holes: dict[tuple[str, str], list[Any]] = {}

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        found = self.holes.get((asked["package"]["name"], asked["version"]), [])
        body = json.dumps({"vulns": found} if found else {}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        pass


@pytest.fixture
def advisories(monkeypatch: Any) -> Iterator[audit.Source]:
    monkeypatch.setattr(Advisories, "holes", {("django", "2.2"): [HOLE]})
    server = ThreadingHTTPServer(("127.0.0.1", 0), Advisories)
    threading.Thread(target=server.serve_forever).start()
    yield audit.osv(f"http://127.0.0.1:{server.server_port}/v1/query")
    server.shutdown()
    server.server_close()


@pytest.fixture
def requirements(tmp_path: Path) -> Path:
    file = tmp_path / "base.txt"
    file.write_text(f"django==9.9.9 --hash=sha256:{'0' * 64}\n")
    return file


def test_a_source_that_knows_of_no_hole_lets_it_pass(
    advisories: audit.Source, requirements: Path
) -> None:
    assert audit.audit((advisories,), requirements) == 0


def test_a_known_hole_fails(advisories: audit.Source, requirements: Path) -> None:
    Advisories.holes["django", "9.9.9"] = [HOLE]
    assert audit.audit((advisories,), requirements) == 1


def test_the_next_source_is_asked_when_one_is_away(
    advisories: audit.Source, requirements: Path, capfd: Any
) -> None:
    away = audit.osv("http://127.0.0.1:9/v1/query")
    Advisories.holes["django", "9.9.9"] = [HOLE]
    assert audit.audit((away, advisories), requirements) == 1
    assert "OSV cannot be asked. ConnectionError" in capfd.readouterr().out


def test_an_audit_of_nothing_is_not_silent(
    advisories: audit.Source, requirements: Path, capfd: Any
) -> None:
    Advisories.holes.clear()  # it answers, but knows nothing
    away = audit.osv("http://127.0.0.1:9/v1/query")
    assert audit.audit((away, advisories), requirements) == 0
    told = capfd.readouterr().out
    assert "NOTHING WAS AUDITED" in told
    assert "It tells of no hole in Django 2.2." in told
