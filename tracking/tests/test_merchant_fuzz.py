"""Random input to every form and every filter of the merchants' pages.

They are not in the OpenAPI description, so Schemathesis does not know them. The forms are those of
the pages themselves, found by their addresses: a new page is tried without a change here.
"""

import os
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from html.parser import HTMLParser
from http.cookies import SimpleCookie
from typing import Any
from urllib.parse import urldefrag, urljoin

import hypothesis
import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import transaction
from django.test import Client
from django.urls import reverse
from hypothesis import HealthCheck, Phase, given
from hypothesis import strategies as st

from fleet.tests.factories import DroneFactory
from orders.models import Order
from orders.states import Status
from orders.tests.factories import order_in
from tracking.tests.test_merchant_access import ARGUMENTS, MODES, client_of, names, user_of
from wingxtra.accounts.identity import Role
from wingxtra.accounts.models import Merchant
from wingxtra.accounts.tests.factories import UserFactory

pytestmark = pytest.mark.django_db

SECONDS = float(os.environ.get("FUZZ_SECONDS", "120"))
CASES_AT_ONCE = 50
# `make fuzz` goes on until there are as many.
CASES = 2_000
# Forms that are sent one after another, as the same visitor: each is a case.
FORMS_AT_ONCE = 6
OTHERS = {"customer_name": "Zebedee Quartermain", "customer_phone": "+233209998877"}
OUTSIDE = ("merchant-login", "merchant-logout", "merchant-password")
LOGOUTS = (reverse("merchant-logout"), reverse("loading-leave"))
# The drone of the merchant's order; a test order gets none.
STATES = {
    "merchant": [Status.QUEUED, Status.VALIDATED, Status.ASSIGNED, Status.ARRIVED, Status.FAILED],
    "merchant-test": [Status.QUEUED, Status.VALIDATED, Status.CANCELED],
}

OTHER_ROLES = (Role.LOADER, Role.READONLY, Role.OPS, Role.ADMIN)
roles = st.sampled_from(["merchant"] * 12 + [*OTHER_ROLES, "stranger"])
odd = st.text(max_size=40) | st.sampled_from(
    ["", " ", "0", "-1", "1e999", "nan", "\x00", "ä" * 300, "k" * 70_000, "'\"<script>", "％", "²"]
)
points = st.tuples(
    st.floats(-200, 200) | st.floats(5.55, 5.65), st.floats(-400, 400) | st.floats(-0.25, -0.15)
).map(lambda at: f"{at[0]}, {at[1]}")
times = st.datetimes().map(lambda at: at.isoformat()[:16]) | st.just("2026-02-30T25:61")
numbers = st.floats().map(str) | st.integers().map(str)
typed = odd | points | times | numbers
files = st.binary(max_size=300) | st.text(max_size=300).map(str.encode)


@dataclass
class Form:
    """A form of a page. `fields`: the values that it allows by name; empty for a free text."""

    method: str
    path: str
    id: str = ""
    fields: dict[str, list[str]] = field(default_factory=dict)
    files: list[str] = field(default_factory=list)


class Forms(HTMLParser):
    def __init__(self, page: str, path: str) -> None:
        super().__init__()
        self.path, self.found, self._select = path, list[Form](), ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        has = {name: value or "" for name, value in attrs}
        if tag == "form":
            self.found.append(
                Form(
                    has.get("method", "get").lower(),
                    urldefrag(urljoin(self.path, has.get("action", ""))).url,
                    has.get("id", ""),
                )
            )
        elif tag == "option" and self._select:
            self.found[-1].fields[self._select].append(has.get("value", ""))
        elif self.found and has.get("name"):
            self._select = has["name"] if tag == "select" else ""
            named = (form for form in self.found if form.id and form.id == has.get("form"))
            form = next(named, self.found[-1])
            if has.get("type") == "file":
                form.files.append(has["name"])
            elif tag in ("input", "select", "textarea", "button"):
                known = form.fields.setdefault(has["name"], [])
                known += [has["value"]] if has.get("value") else []


class Scene:
    """A merchant with a session, and an order in each mode of another merchant."""

    def __init__(self) -> None:
        DroneFactory()
        self.mine, other = (Merchant.objects.create(name=name) for name in ("Mine", "Other Ltd"))
        self.hidden = {
            mode: order_in(Status.QUEUED, merchant=other, live_mode=live, **OTHERS)
            for mode, live in MODES.items()
        }
        users = {
            "merchant": user_of(self.mine),
            **{role: UserFactory(role=role) for role in OTHER_ROLES},
        }
        self.sessions = {role: client_of(user).cookies for role, user in users.items()}
        # One for all cases: each client looks up all static files.
        self._client = Client(raise_request_exception=False)

    def client(self, role: str) -> Client:
        """As a browser just logged in, or without a session for a role that has none."""
        self._client.cookies = self.sessions.get(role, SimpleCookie()).copy()
        return self._client


def tried(scene: Scene, draw: st.DataObject) -> list[int]:
    """Some forms of one page, filled in somehow, by a merchant who must see nothing of another's,
    or by a visitor who may not open the page.

    Returns the status of each answer.
    """
    mode = draw.draw(st.sampled_from(sorted(MODES)), "mode")
    name = draw.draw(st.sampled_from([*names, *OUTSIDE]), "page")
    hidden, client = scene.hidden[mode], scene.client(draw.draw(roles, "role"))
    status = draw.draw(st.sampled_from(STATES[mode]), "status")
    own = order_in(status, merchant=scene.mine, live_mode=MODES[mode])
    path = _path(name, mode, scene.mine, own)
    page = client.get(path)
    assert page.status_code < 500
    forms = Forms(body_of(page).decode(errors="replace"), path).found or [Form("get", path)]
    found = []
    for form in some_of(forms, draw):
        # The same form for the other merchant's order, too.
        aims = [form.path, form.path.replace(str(own.pk), str(hidden.pk))]
        answer = send(client, form, draw.draw(st.sampled_from(aims), "path"), draw)
        refuse_secrets(answer, hidden)
        found.append(int(answer.status_code))
    assert Order.objects.filter(pk=hidden.pk, updated_at=hidden.updated_at).exists()
    return found


def some_of(forms: list[Form], draw: st.DataObject) -> list[Form]:
    """The logout last and once: the forms after it would only lead to the login."""
    others = [form for form in forms if form.path not in LOGOUTS]
    logouts = [form for form in forms if form.path in LOGOUTS]
    if not others:
        return logouts
    some = draw.draw(st.lists(st.sampled_from(others), min_size=1, max_size=FORMS_AT_ONCE), "forms")
    return some + logouts[: draw.draw(st.integers(0, 1), "logouts")]


def refuse_secrets(answer: Any, hidden: Order) -> None:
    text = body_of(answer)
    assert answer.status_code < 500, text[:500]
    for secret in (*OTHERS.values(), hidden.public_tracking_id):
        assert secret.encode() not in text


def body_of(answer: Any) -> bytes:
    return b"".join(answer) if answer.streaming else bytes(answer.content)


def _path(name: str, mode: str, merchant: Merchant, order: Order) -> str:
    if name in OUTSIDE:
        return reverse(name)
    make = ARGUMENTS[name]
    args: list[Any] = []
    if make is not None:
        args = [order.pk] if name.startswith("order") else make(merchant, MODES[mode])
    return reverse(f"merchant:{name}", args=args, current_app=mode)


def send(client: Client, form: Form, path: str, draw: st.DataObject) -> Any:
    data: dict[str, Any] = {}
    for name, known in form.fields.items():
        values = st.sampled_from(known) | typed if known else typed
        if (value := draw.draw(st.none() | values, name)) is not None:
            data[name] = value
    for name in form.files:
        if (content := draw.draw(st.none() | files, name)) is not None:
            data[name] = SimpleUploadedFile("orders.csv", content)
    return client.post(path, data) if form.method == "post" else client.get(path, data)


@contextmanager
def rolled_back() -> Iterator[None]:
    point = transaction.savepoint()
    try:
        yield
    finally:
        transaction.savepoint_rollback(point)


def try_all(cases: int) -> Counter[int]:
    """Each case is rolled back. Returns how many answers there were, by status."""
    scene, answers = Scene(), Counter[int]()

    @hypothesis.settings(
        max_examples=cases,
        phases=[Phase.generate, Phase.shrink],
        suppress_health_check=list(HealthCheck),
        database=None,
    )
    @given(st.data())
    def case(draw: st.DataObject) -> None:
        with rolled_back():
            answers.update(tried(scene, draw))

    case()
    return answers


def test_some_random_forms_fail_in_no_page_and_show_nothing_of_another_merchant() -> None:
    try_all(40)


@pytest.mark.fuzz
def test_many_random_forms_fail_in_no_page_and_show_nothing_of_another_merchant() -> None:
    answers, ends_at = Counter[int](), time.monotonic() + SECONDS
    while time.monotonic() < ends_at or answers.total() < CASES:
        with rolled_back():
            answers += try_all(CASES_AT_ONCE)
    print(f"\nFUZZ {answers.total():6,} cases: the merchants' pages, by status {dict(answers)}")
