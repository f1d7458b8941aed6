"""What an acknowledgement covers, for how long, and what opens a line again."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
import time_machine
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from wingxtra.accounts.identity import Role
from wingxtra.accounts.tests.factories import UserFactory
from wingxtra.console import actors, dashboard, registry
from wingxtra.console.attention.acknowledging import acknowledge_there
from wingxtra.console.models import Acknowledgement
from wingxtra.console.registry import Attention, Tone
from wingxtra.console.tests.attention_list import lines, now, post

pytestmark = pytest.mark.django_db
LEAK = Attention("leak:1", 3, "The roof leaks", cause="leak", many="roofs leak")


@pytest.fixture
def ama() -> Client:
    browser = Client()
    browser.force_login(UserFactory(role=Role.OPS, username="ama"))
    return browser


@pytest.fixture
def leaks(monkeypatch: pytest.MonkeyPatch) -> list[Attention]:
    """The only items of the list."""
    items = [LEAK, replace(LEAK, key="leak:2"), replace(LEAK, key="leak:3", level=5)]
    monkeypatch.setattr(registry, "attention_sources", [])
    registry.add_attention(lambda now: items, checks="no roof leaks")
    return items


def test_an_acknowledged_line_covers_new_items_until_their_number_doubles(
    ama: Client, leaks: list[Attention]
) -> None:
    assert lines() == ["3 roofs leak"]
    post(ama, cause="leak", note="Roofer called.")
    assert lines() == []
    leaks.append(replace(LEAK, key="leak:4"))  # four: the next doubling
    assert lines() == ["4 roofs leak"]
    post(ama, cause="leak")
    leaks.append(replace(LEAK, key="leak:5"))
    assert lines() == []
    leaks.append(replace(LEAK, key="leak:6", level=40, tone=Tone.BAD))
    assert lines() == ["6 roofs leak"]


def test_what_the_page_did_not_show_is_not_acknowledged(ama: Client, leaks: Any) -> None:
    (line,) = dashboard.board(timezone.now()).lines
    assert f'name="shown" value="{line.shown}"' in now(ama)
    leaks.append(replace(LEAK, key="leak:4", level=30, tone=Tone.BAD))
    answer = ama.post(
        reverse("admin:acknowledge"), {"cause": "leak", "shown": line.shown}, follow=True
    )
    assert "look at it again" in answer.content.decode()
    assert lines() == ["4 roofs leak"]


def test_an_item_that_no_page_showed_is_not_seen_with_its_line(ama: Client, leaks: Any) -> None:
    leaks[:] = [replace(item, until_seen=True) for item in leaks]
    (line,) = dashboard.board(timezone.now()).lines
    leaks[0] = replace(leaks[0], key="leak:4")  # as many, and as bad
    post(ama, cause="leak", shown=line.shown)
    assert lines() == ["3 roofs leak"]


def test_one_item_of_a_line_is_acknowledged_by_itself(ama: Client, leaks: Any) -> None:
    post(ama, key="leak:1")
    assert lines() == ["2 roofs leak"]
    assert "The roof leaks" in now(ama).partition('id="seen"')[2]


@pytest.mark.parametrize("minutes", [15, 60, 240])
def test_a_snoozed_line_comes_back_at_its_time(ama: Client, leaks: Any, minutes: int) -> None:
    post(ama, cause="leak", minutes=minutes)
    start = timezone.now()
    with time_machine.travel(start + timedelta(minutes=minutes - 1)):
        assert lines() == []
    with time_machine.travel(start + timedelta(minutes=minutes + 1)):
        assert lines() == ["3 roofs leak"]


def test_what_is_listed_until_seen_ends_for_good_and_later_ones_are_new(
    ama: Client, leaks: list[Attention]
) -> None:
    leaks[:] = [replace(item, until_seen=True) for item in leaks]
    assert ">Seen</button>" in now(ama)
    post(ama, cause="leak")
    assert lines() == []
    leaks.append(replace(leaks[0], key="leak:4"))
    with time_machine.travel(timezone.now() + timedelta(days=8)):
        assert lines() == ["The roof leaks"]


def test_an_acknowledged_item_does_not_hide_another_trouble_of_its_object(
    ama: Client, leaks: list[Attention]
) -> None:
    late = Attention("late:1", 39, "Late", tone=Tone.BAD, about="order:1", is_symptom=True)
    no_drone = Attention("no-drone:1", 17, "No drone", about="order:1", cause="no-drone")
    leaks[:] = [late, no_drone]
    post(ama, key="late:1")
    assert lines() == []  # both were shown
    leaks.append(Attention("link:1", 35, "Link lost", tone=Tone.BAD, about="order:1"))
    assert lines() == ["Link lost"]


def test_many_acknowledged_warnings_do_not_hide_a_few_that_are_worse(
    ama: Client, leaks: list[Attention]
) -> None:
    leaks[:] = [replace(LEAK, key=f"leak:{n}", level=17) for n in range(600)]
    post(ama, cause="leak")
    leaks[:] = leaks[:2]
    assert lines() == []
    leaks[0] = replace(LEAK, key="leak:0", level=10, tone=Tone.BAD)
    assert lines() == ["2 roofs leak"]
    leaks[0] = replace(LEAK, key="leak:0", level=18)
    assert lines() == ["2 roofs leak"]


def test_another_system_can_acknowledge_under_its_own_name(ama: Client, leaks: Any) -> None:
    at = timezone.now()
    (line,) = dashboard.board(at).lines
    acknowledge_there("leak", level=line.level, text=line.text, at=at, by_name="Kofi, PagerDuty")
    assert lines() == []
    assert "Kofi, PagerDuty" in now(ama)


def test_the_answer_to_a_script_is_the_new_list(ama: Client, leaks: Any) -> None:
    answer = ama.post(
        reverse("admin:acknowledge") + "?open=leak",
        {"key": "leak:1", "minutes": 60},
        headers={"X-In-Place": "1"},
    )
    html = answer.content.decode()
    assert 'data-told="Back in 1 h: The roof leaks."' in html
    assert html.count("data-key=") == 2


@pytest.mark.parametrize(
    "data",
    [
        {"cause": "leak", "minutes": "17"},
        {"cause": "leak", "minutes": "x"},
        {"cause": "leak", "note": "n" * 301},
        {"cause": "leak", "shown": ""},
        {"cause": "leak", "shown": "x"},
    ],
)
def test_bad_input_acknowledges_nothing(ama: Client, leaks: Any, data: dict[str, str]) -> None:
    assert post(ama, **data).status_code == 404
    assert not Acknowledgement.objects.exists()


@pytest.mark.parametrize("data", [{}, {"cause": "flood"}, {"key": "leak:9"}, {"key": "\0"}])
def test_what_is_not_in_the_list_cannot_be_acknowledged(
    ama: Client, leaks: Any, data: dict[str, str]
) -> None:
    assert post(ama, **data).status_code in (302, 404)
    assert not Acknowledgement.objects.exists()


def test_old_acknowledgements_are_forgotten(leaks: Any) -> None:
    user = UserFactory(role=Role.OPS)
    for days, key in ((1, "new"), (40, "old")):
        at = timezone.now() - timedelta(days=days)
        Acknowledgement.objects.create(
            key=key, level=1, text="x", by=user, at=at, until=at + timedelta(hours=12)
        )
    actors.forget_acknowledgements.fn()
    assert [mark.key for mark in Acknowledgement.objects.all()] == ["new"]
