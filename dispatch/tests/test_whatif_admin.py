"""“What if” in the console: permissions, the form, and the pages."""

from datetime import timedelta
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.http import HttpResponse
from django.test import Client
from django.urls import reverse

from dispatch.models import WhatIf
from dispatch.tests.whatif_day import asked, delivered, placed, rush, yesterday
from dispatch.whatif import questions, worker
from fleet import policy
from fleet.models import Hub, ServiceArea
from fleet.tests.factories import DroneFactory, ServiceAreaFactory
from wingxtra.accounts.identity import SYSTEM, Role
from wingxtra.accounts.tests.factories import MerchantFactory, UserFactory

pytestmark = pytest.mark.django_db

ADD = "/admin/dispatch/whatif/add/"
LIST = "/admin/dispatch/whatif/"
UNSENT = ("", "None", "False")


@pytest.fixture
def browser() -> Client:
    return signed_in(Role.OPS)


def signed_in(role: Role | None) -> Client:
    browser = Client()
    if role is not None:
        merchant = MerchantFactory() if role == Role.MERCHANT else None
        name = f"ama-{role.value.lower()}"
        user = UserFactory(username=name, role=role, merchant=merchant, is_staff=True)
        browser.force_login(user)
    return browser


def page_of(what_if: WhatIf) -> str:
    return reverse("admin:dispatch_whatif_change", args=[what_if.pk])


def form_of(browser: Client, **query: str) -> dict[str, Any]:
    """The values that the unchanged form sends."""
    form = browser.get(ADD, query).context["form"]
    values = {field.name: field.value() for field in form}
    return {name: value for name, value in values.items() if str(value) not in UNSENT}


def ask(browser: Client, **changed: Any) -> HttpResponse:
    return browser.post(ADD, {**form_of(browser), **changed}, follow=True)


def test_a_question_of_ops_enqueues_a_job(browser, django_capture_on_commit_callbacks):
    rush(3, drones=1)
    with django_capture_on_commit_callbacks() as jobs:
        page = ask(browser, more_drones=2, hub=Hub.objects.get().pk, look_ahead_s=300)
    what_if = WhatIf.objects.get()
    assert len(jobs) == 1
    assert (what_if.day, what_if.service_area) == (yesterday(), ServiceArea.objects.get())
    assert what_if.changes == {"look_ahead_s": [180.0, 300.0]}
    assert (what_if.more_drones, what_if.hub, what_if.actor) == (
        2,
        Hub.objects.get(),
        "user:ama-ops",
    )
    shown = page.content.decode()
    assert "Waiting for a worker" in shown
    assert f"2 more drones at {what_if.hub}" in shown
    assert "Wait for a better drone up to (s): 180 → 300" in shown
    assert LogEntry.objects.get().change_message.startswith("Asked: 2 more drones")


def test_the_form_starts_with_yesterday_the_only_area_and_the_current_policy(browser):
    rush(1, drones=1)
    policy.change(by=SYSTEM, look_ahead_s=240.0)
    form = form_of(browser)
    assert (form["day"], form["service_area"]) == (yesterday(), ServiceArea.objects.get().pk)
    assert (form["look_ahead_s"], form["reserve_pct"]) == (240, 20)
    assert set(questions.RULES) - set(form) == {"detours_allowed"}  # an empty checkbox is not sent
    ServiceAreaFactory()
    assert "service_area" not in form_of(browser)


def test_bad_input_is_refused_with_the_policys_own_bounds(browser):
    rush(1, drones=1)
    bad = {"reserve_pct": 2, "look_ahead_s": "soon", "more_drones": 21, "day": "yesterday"}
    page = ask(browser, **bad).content.decode()
    for text in (
        "greater than or equal to 5",
        "Enter a number",
        "less than or equal to 20",
        "Enter a valid date",
    ):
        assert text in page
    assert not WhatIf.objects.exists()


def test_the_form_shows_why_a_question_is_refused(browser):
    rush(1, drones=1)
    page = ask(browser).content.decode()
    assert "Nothing is changed. Change a rule or the number of drones" in page
    day = yesterday() - timedelta(days=30)
    page = ask(browser, day=day, more_drones=1).content.decode()
    assert "There are no orders for" in page
    assert "Choose a hub of" in page
    assert not WhatIf.objects.exists()


def test_an_earlier_question_fills_the_form(browser):
    area = rush(1, drones=1)
    day, hub = yesterday(), Hub.objects.get()
    former = asked(area, more_drones=3, hub=hub, rules={"busy_weight": 0.5})
    assert f"?again={former.pk}" in browser.get(page_of(former)).content.decode()
    form = form_of(browser, again=str(former.pk))
    assert (form["day"], form["more_drones"], form["hub"]) == (day, 3, hub.pk)
    assert form["busy_weight"] == 0.5
    for nothing in ("nonsense", "00000000-0000-0000-0000-000000000000"):
        assert browser.get(ADD, {"again": nothing}).status_code == 404


def test_the_page_polls_until_the_answer_is_there(browser):
    delivered(43_200, 25)
    area = placed(43_300).service_area
    what_if = asked(area, more_drones=1, hub=Hub.objects.get())
    now = reverse("admin:what_if_now", args=[what_if.pk])
    assert "data-goes-on" in browser.get(now).content.decode()
    WhatIf.objects.filter(pk=what_if.pk).update(state=WhatIf.State.RUNNING, progress_pct=37)
    assert "Being simulated: 37 %" in browser.get(now).content.decode()
    WhatIf.objects.filter(pk=what_if.pk).update(state=WhatIf.State.QUEUED)
    worker.compute(what_if.pk)
    for page in (browser.get(now), browser.get(page_of(what_if))):
        shown = page.content.decode()
        assert "data-goes-on" not in shown
        assert "95 in 100 orders within" in shown
        assert "25 min" in shown


def test_a_failed_what_if_shows_its_problem(browser):
    what_if = asked(rush(1, drones=1), rules={"look_ahead_s": 0.0})
    WhatIf.objects.update(state=WhatIf.State.FAILED, problem="It was stopped after 20 minutes.")
    for page in (LIST, page_of(what_if)):
        assert "It was stopped after 20 minutes." in browser.get(page).content.decode()


def test_the_list_shows_user_day_change_and_answer(browser):
    assert "No what-if question has been asked yet." in browser.get(LIST).content.decode()
    rush(3, drones=1)
    ask(browser, more_drones=1, hub=Hub.objects.get().pk)
    worker.compute(WhatIf.objects.get().pk)
    shown = browser.get(LIST).content.decode()
    for text in ("ama-ops", f"{yesterday():%d %b %Y}", "1 more drone at", "95 in 100 orders"):
        assert text in shown


@pytest.mark.parametrize("role", [*Role, None])
def test_roles_that_may_read_and_ask(role):
    what_if = asked(rush(1, drones=1), rules={"look_ahead_s": 0.0})
    browser = signed_in(role)
    outside = role in (None, Role.MERCHANT, Role.LOADER)
    for page in (LIST, page_of(what_if), reverse("admin:what_if_now", args=[what_if.pk])):
        assert browser.get(page).status_code == (302 if outside else 200)
    may_ask = role in (Role.OPS, Role.ADMIN)
    expected = 302 if outside else 200 if may_ask else 403
    assert browser.get(ADD).status_code == expected
    # Logged out, the form is given back.
    refused = 403 if role is None else expected
    assert browser.post(ADD, {"day": yesterday()}).status_code == refused
    assert WhatIf.objects.count() == 1
    if not outside:
        assert (ADD in browser.get(LIST).content.decode()) == may_ask
        assert ("Ask again with changes" in browser.get(page_of(what_if)).content.decode()) == (
            may_ask
        )


def test_asking_needs_the_token_of_the_form():
    browser = Client(enforce_csrf_checks=True)
    browser.force_login(UserFactory(ops=True))
    assert browser.post(ADD, {"more_drones": 1}).status_code == 403


def test_answers_cannot_be_edited_or_deleted():
    what_if = asked(rush(1, drones=1), rules={"look_ahead_s": 0.0})
    browser = signed_in(Role.ADMIN)
    browser.post(page_of(what_if), {"state": "DONE", "more_drones": 7})
    delete = reverse("admin:dispatch_whatif_delete", args=[what_if.pk])
    assert browser.post(delete, {"post": "yes"}).status_code == 403
    now = WhatIf.objects.get()
    assert (now.state, now.more_drones) == (WhatIf.State.QUEUED, 0)


@pytest.mark.parametrize("pk", ["nonsense", "00000000-0000-0000-0000-000000000000"])
def test_an_unknown_what_if_is_reported(browser, pk):
    answer = browser.get(f"{LIST}{pk}/change/", follow=True)
    assert "exist" in answer.content.decode()
    assert browser.get(f"{LIST}{pk}/now/").status_code in (302, 404)


def test_the_pages_take_a_constant_number_of_queries(browser, django_assert_num_queries):
    area = rush(2, drones=2)
    browser.get(LIST)  # fills the caches of the process
    first = asked(area, more_drones=1, hub=Hub.objects.get())
    worker.compute(first.pk)
    with django_assert_num_queries(LIST_QUERIES):
        browser.get(LIST)
    for n in range(5):
        asked(area, more_drones=n + 1, hub=Hub.objects.get())
    with django_assert_num_queries(LIST_QUERIES):
        browser.get(LIST)
    with django_assert_num_queries(PAGE_QUERIES):
        browser.get(page_of(first))
    DroneFactory.create_batch(3)
    with django_assert_num_queries(FORM_QUERIES):
        browser.get(ADD)


LIST_QUERIES, PAGE_QUERIES, FORM_QUERIES = 5, 4, 8
