"""Each line about a doubt disappears by its own actions, used as by an operator."""

from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from dispatch.console import attention_doubts
from dispatch.models import Discrepancy, PublishingPause
from dispatch.tests import doubts
from dispatch.tests.doubts import aboard, astray, contradicted, doubtful, held
from fleet.console import holds
from fleet.models import Hub
from fleet.tests.factories import DroneFactory
from orders.states import Status
from wingxtra.accounts.identity import Role
from wingxtra.accounts.tests.factories import UserFactory
from wingxtra.console.attention.groups import Group, groups, one_each
from wingxtra.console.look import Look

pytestmark = pytest.mark.django_db
Code = Discrepancy.Code

SURE = "I went there and looked."
WRITTEN = {"note": SURE, "received_by": "Till 3", "override": SURE, "reason": "OTHER"}


def all_items() -> list[Group]:
    sources = [*(source.find for source in attention_doubts.SOURCES), holds.drones_on_hold]
    look = Look(timezone.now())
    return groups(one_each(item for source in sources for item in source(look)))


def take(browser: Client, url: str) -> None:
    """Open the action's form and submit it with a value in every field."""
    shown = browser.get(url)
    tokens = {f"seen-{t.object.pk}": t.token for t in shown.context["targets"]}
    offered = {"outcome": "DELIVERED", "hub": Hub.objects.get().pk, **shown.context["form"].initial}
    answer = browser.post(url, {**tokens, **WRITTEN, **offered})
    if answer.status_code == 200:  # the form again, or the results of many
        context = answer.context
        assert [t.problem for t in context["targets"]] == [""] * len(context["targets"])
        assert not context["form"].errors


@pytest.mark.parametrize("which", [0, -1], ids=["first", "last"])
@pytest.mark.parametrize(
    "make",
    [
        astray,
        aboard,
        contradicted,
        doubts.not_over,
        lambda: doubts.unconfirmed(Status.MISSION_SUBMITTED),
        lambda: doubts.unconfirmed(Status.ENROUTE, recall_mode="abort", recall_state="WANTED"),
        lambda: PublishingPause.objects.create(because="422", refused=3),
        lambda: [astray() for _ in range(3)],
        lambda: [held(DroneFactory().pk) for _ in range(4)],
        *(
            (lambda code=code, status=status: doubtful(code, status))
            for code, status in [
                (Code.UNCLEAR_LANDING, Status.DELIVERING),
                (Code.UNCLEAR_LANDING, Status.DELIVERED),
                (Code.AT_THE_DROP, Status.DELIVERING),
                (Code.STANDS_AT_HUB, Status.ENROUTE),
                (Code.STANDS_AT_HUB, Status.MISSION_SUBMITTED),
                (Code.DELIVERED_AFTER_END, Status.QUEUED),
                (Code.DELIVERED_AFTER_END, Status.FAILED),
                (Code.FLIES_AFTER_END, Status.QUEUED),
                (Code.FLIES_AFTER_END, Status.DELIVERED),
                (Code.FAILED_AFTER_DELIVERY, Status.DELIVERED),
                (Code.AIRSPACE, Status.MISSION_SUBMITTED),
                (Code.WEATHER, Status.ASSIGNED),
                (Code.BATTERY, Status.MISSION_SUBMITTED),
            ]
        ),
    ],
)
def test_each_line_disappears_when_its_actions_are_used(make: Any, which: int) -> None:
    make()
    Hub.objects.first() or DroneFactory()
    browser = Client()
    browser.force_login(UserFactory(role=Role.OPS, is_staff=True))
    assert all_items()
    for _ in range(8):
        items = all_items()
        if not items:
            return
        take(browser, items[0].remedies[which].url)
    assert [item.text for item in all_items()] == []
