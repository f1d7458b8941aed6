"""Every command in the documentation runs here or in another test, or has a reason not to run."""

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import psycopg
import pytest
from django.conf import settings
from django.core.management import get_commands, load_command_class
from django.db import connection

from orders.tests.factories import OrderFactory
from wingxtra.management.commands.restore_drill import _digests, _program
from wingxtra.tests.image import FILLED_IN
from wingxtra.tests.test_image import empty_database

ROOT = Path(settings.BASE_DIR)
PAGES = sorted([ROOT / "README.md", *(ROOT / "docs").rglob("*.md")])
TEXTS = {str(page.relative_to(ROOT)): page.read_text() for page in PAGES}
NOT_RUN = "# Not run by a test: "
# Pages and commands that other tests run, and where.
ELSEWHERE = {
    "docs/api.md": "wingxtra/tests/test_api_guide.py",
    "make demo": ".ci/run",
    "make test": ".ci/run",
    "make restore-drill": "wingxtra/tests/test_restore_drill.py",
}
LOOKS_LIKE_A_COMMAND = re.compile(
    r"^ *(?:\$ )?(?:docker|make|python|pip|git|curl|openssl|mkdir|chown|cat|echo|manage\.py) "
)


def fenced(text: str) -> Iterator[tuple[str, str]]:
    """The language and the contents of each block."""
    yield from re.findall(r"^```(\w*)[^\n]*\n(.*?)^```", text, re.MULTILINE | re.DOTALL)


def commands(page: str) -> list[str]:
    return [block for language, block in fenced(TEXTS[page]) if language == "bash"]


def to_be_typed(page: str) -> list[str]:
    return [block for block in commands(page) if not block.startswith(NOT_RUN)]


@pytest.mark.parametrize("page", TEXTS)
def test_commands_are_in_typed_blocks(page: str) -> None:
    """Otherwise these tests would miss them."""
    prose = re.sub(r"^```.*?^```", "", TEXTS[page], flags=re.MULTILINE | re.DOTALL)
    indented = [line for line in prose.splitlines() if line.startswith("    ")]
    other = [
        line
        for language, block in fenced(TEXTS[page])
        if language != "bash"
        for line in block.splitlines()
    ]
    assert [line for line in indented + other if LOOKS_LIKE_A_COMMAND.match(line)] == []


def test_every_block_of_commands_is_run_or_says_why_not() -> None:
    typed = {"docs/deploy.md", "docs/runbook.md"}
    for page in TEXTS:
        for block in to_be_typed(page):
            lines = [line.partition("#")[0].strip() for line in block.splitlines()]
            elsewhere = page in ELSEWHERE or all(line in ELSEWHERE for line in lines if line)
            assert elsewhere or page in typed, f"{page}: {block}"
        for block in commands(page):
            if block.startswith(NOT_RUN):
                assert len(block.splitlines()[0]) > len(NOT_RUN) + 10
    for what, where in ELSEWHERE.items():
        words = what.removeprefix("make ").replace("-", "_") if "make" in what else Path(what).name
        assert words in (ROOT / where).read_text()


# --- names in sentences --------------------------------------------------------------------------


@pytest.mark.parametrize("page", TEXTS)
def test_commands_in_sentences_exist_and_take_their_options(page: str) -> None:
    known = get_commands()
    for line in re.findall(r"manage\.py ([a-z_]+[^`\n|#]*)", TEXTS[page]):
        name, *words = shlex.split(line.partition("…")[0].rstrip(" )."))
        assert name in known, line
        if name in ("shell", "createsuperuser"):
            continue
        app = known[name]
        command = load_command_class(app, name) if isinstance(app, str) else app
        options = set(command.create_parser("manage.py", name)._option_string_actions)
        assert {word for word in words if word.startswith("--")} <= options, line


@pytest.mark.parametrize("page", TEXTS)
def test_targets_of_make_exist(page: str) -> None:
    makefile = (ROOT / "Makefile").read_text()
    for target in re.findall(r"(?:`|^)make ([a-z-]+)", TEXTS[page], re.MULTILINE):
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target


@pytest.mark.parametrize("page", TEXTS)
def test_links_exist(page: str) -> None:
    def anchors(text: str) -> set[str]:
        headings = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
        return {re.sub(r"[^\w\- ]", "", h.lower()).replace(" ", "-") for h in headings}

    for link in re.findall(r"\]\(([^)\s]+)\)", TEXTS[page]):
        if link.startswith(("http:", "https:", "mailto:")):
            continue
        path, _, anchor = link.partition("#")
        target = (ROOT / page).parent / path if path else ROOT / page
        assert target.exists(), link
        if anchor and target.suffix == ".md":
            assert anchor in anchors(target.read_text()), link


@pytest.mark.parametrize("page", TEXTS)
def test_named_files_exist(page: str) -> None:
    """Paths with a folder, like `orders/lifecycle.py`."""
    if page == "docs/changelog.md":  # it may name deleted files
        return
    top = "wingxtra|fleet|orders|dispatch|pod|tracking|docs|requirements|templates|grafana"
    for name in re.findall(rf"`((?:{top})/[\w/.\-]+)`", TEXTS[page]):
        assert (ROOT / name).exists() or (ROOT / "docs" / name).exists(), name


# --- commands ------------------------------------------------------------------------------------


def bash(script: str, folder: Path, **environment: str) -> "subprocess.CompletedProcess[str]":
    done = subprocess.run(
        ["bash", "-c", f"set -euo pipefail\n{script}"],
        cwd=folder,
        env=os.environ | environment,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, f"{script}\n{done.stdout}\n{done.stderr}"
    return done


@pytest.mark.django_db(transaction=True)
def test_the_commands_of_the_runbook() -> None:
    (block,) = to_be_typed("docs/runbook.md")
    order = OrderFactory()
    database = urlsplit(settings.DATABASE_URL)._replace(path="/" + connection.settings_dict["NAME"])
    done = bash(
        # Without a Fleet API the poll fails with a message.
        block.replace("poll_fleet ", "poll_fleet 2>&1 || true "),
        ROOT,
        ORDER=order.public_tracking_id,
        DATABASE_URL=database.geturl(),
        PATH=f"{Path(sys.executable).parent}:{os.environ['PATH']}",
    )
    assert f"{order.public_tracking_id} is QUEUED" in done.stdout
    assert "FLEET_API_URL" in done.stdout
    assert "no issues" in done.stdout


ENGINE = """
docker() {  # what needs no container: Compose reading its file, and the programs of PostgreSQL
    shift
    case "$1 ${4:-}" in
        config*) "$COMPOSE" --file "$ROOT/compose.yaml" --project-directory . "$@" ;;
        exec*pg_*) shift 3; "$PROGRAMS/$@" ;;
        up*) echo "started ${*: -1}" ;;
        *) echo "no container engine: $*" >&2; return 1 ;;
    esac
}
chown() { :; }
"""


@pytest.mark.django_db(transaction=True)
def test_the_commands_of_the_deployment_guide_create_secrets_settings_and_a_restorable_backup(
    tmp_path: Path,
) -> None:
    secrets, addresses, backup, restore, drill = to_be_typed("docs/deploy.md")
    assert drill.strip() in ELSEWHERE
    named = {"ROOT": str(ROOT), "COMPOSE": str(Path(sys.executable).with_name("docker-compose"))}
    bash(ENGINE + secrets + addresses, tmp_path, **named)
    assert oct((tmp_path / ".secrets").stat().st_mode)[-3:] == "700"
    for name in ("secret_key", "postgres_password"):
        assert len((tmp_path / ".secrets" / name).read_text().strip()) >= 32
    entered = dict(line.split("=") for line in (tmp_path / ".env").read_text().split())
    assert set(entered) == set(FILLED_IN)

    OrderFactory.create_batch(3)
    params = connection.get_connection_params()
    database = urlsplit(settings.DATABASE_URL)
    host = parse_qs(database.query).get("host", [database.hostname or ""])[0]
    named |= {
        "PROGRAMS": str(Path(_program("pg_dump")).parent),
        "PGHOST": host,
        "PGPORT": str(database.port or 5432),
        "PGPASSWORD": database.password or "",
    }
    user = f"--username {params['user']}"
    script = backup.replace("--username wingxtra", user).replace(
        "custom wingxtra", f"custom {params['dbname']}"
    )
    bash(ENGINE + script, tmp_path, **named)
    copy = "wingxtra_restored_by_hand"
    with empty_database(copy):
        script = restore.replace("--username wingxtra", user)
        script = script.replace("--dbname wingxtra", f"--dbname {copy}")
        bash(ENGINE + script, tmp_path, **named)
        assert digests_of(params | {"dbname": copy}) == digests_of(params)


def digests_of(params: dict[str, Any]) -> dict[str, tuple[int, str]]:
    with psycopg.connect(**params) as session:
        return _digests(session)
