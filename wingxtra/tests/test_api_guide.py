"""docs/api.md: its commands run here, and its tables match the code."""

import json
import math
import os
import re
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from django.conf import settings
from standardwebhooks import Webhook, WebhookVerificationError

from dispatch.testmode import TIMETABLES
from fleet.demo import seed
from fleet.models import Drone
from fleet.tests.factories import TelemetryFactory, show
from orders.states import Scenario
from wingxtra.accounts.identity import Role
from wingxtra.accounts.models import ApiKey, User
from wingxtra.tests.serving import served

GUIDE = Path(settings.BASE_DIR) / "docs" / "api.md"
TEXT = GUIDE.read_text()
# The first line of a block may name the expected status: “… # 400”. The default is a 2xx.
ANSWERS = re.compile(r"#\s*([45]\d\d)$", re.MULTILINE)


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", TEXT, re.MULTILINE | re.DOTALL)


@pytest.fixture
def environment(transactional_db: None) -> Iterator[dict[str, str]]:
    """The environment of the guide's reader: a server, a test key, a user."""
    password = seed.seed(6).password
    show(*[TelemetryFactory(drone_id=drone.pk) for drone in Drone.objects.all()])
    user = User.objects.get(username="merchant")
    _, key = ApiKey.issue(name="guide", role=Role.MERCHANT, merchant=user.merchant, live_mode=False)
    with served() as (url,):
        yield {
            "WINGXTRA_URL": url,
            "WINGXTRA_KEY": key,
            "WINGXTRA_USER": user.username,
            "WINGXTRA_PASSWORD": password,
        }


@pytest.mark.curl
@pytest.mark.django_db(transaction=True)
def test_every_command_of_the_guide_works(environment: dict[str, str], tmp_path: Path) -> None:
    script = "\n".join(
        [
            "set -euo pipefail",
            """curl() { command curl --write-out '%{stderr}STATUS %{http_code}\\n' "$@"; }""",
            *(f"echo 'BLOCK {i}' >&2\n{block}" for i, block in enumerate(blocks("bash"))),
        ]
    )
    done = subprocess.run(
        ["bash", "-c", script],
        env=os.environ | environment,
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-2000:] + done.stdout[-4000:]
    answered = done.stderr.split("BLOCK ")[1:]
    for block, output in zip(blocks("bash"), answered, strict=True):
        expected = ANSWERS.findall(block)
        statuses = re.findall(r"STATUS (\d+)", output)
        assert len(statuses) >= ("wx " in block or "curl " in block) - ("wx()" in block)
        assert all(status in expected or "200" <= status < "300" for status in statuses), output
        assert set(expected) <= set(statuses), block
    assert "this code, which is shown only once: " in done.stdout


def test_the_receiver_in_the_guide_accepts_only_our_signature() -> None:
    (code,) = blocks("python")
    names: dict[str, object] = {}
    exec(code, names)
    secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
    now, body = datetime.now(UTC), json.dumps({"type": "order.delivered", "data": {"order": {}}})
    headers = {
        "webhook-id": "msg_1",
        "webhook-timestamp": str(int(now.timestamp())),
        "webhook-signature": Webhook(secret).sign("msg_1", now, body),
    }
    receive = names["receive"]
    assert receive(body=body, headers=headers, secret=secret) == ("order.delivered", {"order": {}})  # type: ignore[operator]
    with pytest.raises(WebhookVerificationError):
        receive(body=body + " ", headers=headers, secret=secret)  # type: ignore[operator]


def test_the_guide_names_every_code_with_its_meaning() -> None:
    contract = json.loads((GUIDE.parent / "contracts" / "problem.schema.json").read_text())
    listed = re.findall(r"^\| (\d{3}) \| `(\w+)` \| (.+) \|$", TEXT, re.MULTILINE)
    assert listed == [
        (status, code, meaning)
        for status, codes in contract["x-codes"].items()
        for code, meaning in codes.items()
    ]


def test_the_guide_has_the_timetable_of_every_scenario() -> None:
    section = TEXT.partition("## Test mode")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| `(\w+)` \| .* \| (.+) \|$", section, re.MULTILINE)[1:]
    assert [scenario for scenario, _ in rows] == Scenario.values
    usual = TIMETABLES[Scenario.DELIVERED]
    for scenario, told in rows:
        steps = TIMETABLES[Scenario(scenario)]
        written = ", ".join(kind + ("" if at_s == math.inf else f" {at_s}") for at_s, kind in steps)
        assert told == written or (told == "as `delivered`" and steps == usual), scenario
