"""Random input to every form of the loaders' pages, found as in test_merchant_fuzz.py."""

import time
from collections import Counter
from typing import Any

import hypothesis
import pytest
from django.test import Client
from django.urls import reverse
from hypothesis import HealthCheck, Phase, given
from hypothesis import strategies as st

from fleet.models import Hub
from fleet.tests.factories import HubFactory
from orders.models import Order
from orders.states import Status
from orders.tests.factories import order_in
from orders.tests.loading import browser_of, drone_of, far_hub, loader_at
from tracking.tests.test_merchant_fuzz import (
    CASES,
    CASES_AT_ONCE,
    OTHERS,
    SECONDS,
    Forms,
    body_of,
    odd,
    rolled_back,
    send,
    some_of,
)

pytestmark = pytest.mark.django_db

# The rest of each parcel's life happens without loaders.
STATES = [Status.ASSIGNED, Status.MISSION_SUBMITTED, Status.FAILED]


class Scene:
    """A loader of one hub, and a parcel that leaves from another hub."""

    def __init__(self) -> None:
        self.hub: Hub = HubFactory(name="Ridge hub")
        self._session = browser_of(loader_at(self.hub)).cookies
        # One for all cases: each client looks up all static files.
        self._client = Client(raise_request_exception=False)
        far = far_hub()
        self.hidden = order_in(
            Status.ASSIGNED,
            drone=drone_of(far),
            pickup_lat=far.lat,
            pickup_lng=far.lng,
            **OTHERS,
        )

    def client(self) -> Client:
        """As a browser just logged in."""
        self._client.cookies = self._session.copy()
        return self._client


def tried(scene: Scene, draw: st.DataObject) -> list[int]:
    """Some forms of one page, by a loader, who must see no customer and no other hub's parcel.

    Returns the status of each answer.
    """
    status = draw.draw(st.sampled_from(STATES), "status")
    own = order_in(status, drone=drone_of(scene.hub), **OTHERS)
    client = scene.client()
    client.get(reverse("loading"))  # which makes the hub the place of the session
    codes = st.sampled_from([str(own.pk), own.public_tracking_id, str(scene.hidden.pk)])
    pages = [reverse("loading"), reverse("loading-hub", args=[scene.hub.pk])]
    pages += [reverse("loading-find"), reverse("loading-scan", args=[own.pk])]
    path = draw.draw(st.sampled_from(pages), "page")
    page = client.get(path, {"code": draw.draw(codes | odd, "code")}, follow=True)
    assert page.status_code < 500
    found = []
    forms = Forms(body_of(page).decode(), page.request["PATH_INFO"]).found
    for form in some_of(forms, draw):
        aims = [form.path, form.path.replace(str(own.pk), str(scene.hidden.pk))]
        answer = send(client, form, draw.draw(st.sampled_from(aims), "path"), draw)
        _refuse_secrets(answer, own, scene.hidden)
        found.append(int(answer.status_code))
    same = Order.objects.filter(pk=scene.hidden.pk, updated_at=scene.hidden.updated_at)
    assert same.exists()
    return found


def _refuse_secrets(answer: Any, own: Order, hidden: Order) -> None:
    text = body_of(answer).decode()
    assert answer.status_code < 500, text[:500]
    secrets = [*OTHERS.values(), own.public_tracking_id, hidden.public_tracking_id]
    assert [secret for secret in secrets if secret in text] == []


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


def test_some_random_forms_fail_in_no_page_and_show_no_customer() -> None:
    try_all(20)


@pytest.mark.fuzz
def test_many_random_forms_fail_in_no_page_and_show_no_customer() -> None:
    answers, ends_at = Counter[int](), time.monotonic() + SECONDS
    while time.monotonic() < ends_at or answers.total() < CASES:
        with rolled_back():
            answers += try_all(CASES_AT_ONCE)
    print(f"\nFUZZ {answers.total():6,} cases: the loaders' pages, by status {dict(answers)}")
