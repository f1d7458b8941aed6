"""French: every sentence has a translation, and the French page has no English on it."""

import gettext
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.test import Client
from django.utils import translation

from orders.states import PodRequirement, Status
from tracking.page import texts
from tracking.tests.deliveries import expect_in, secret_order

TRACKING = settings.BASE_DIR / "tracking"
CATALOG = TRACKING / "locale" / "fr" / "LC_MESSAGES" / "django.mo"
SAME_IN_FRENCH = {"Drone", "Plan", "Latitude", "Longitude", "j M, H:i"}


def sentences() -> set[str]:
    """Texts that templates and code mark for translation in a single literal."""
    found: set[str] = set()
    for template in (TRACKING / "templates").rglob("*.html"):
        found |= set(re.findall(r'translate "([^"]+)"|_\("([^"]+)"\)', template.read_text()))
    for code in TRACKING.rglob("*.py"):
        found |= set(
            re.findall(r'\b(?:_|gettext(?:_lazy)?)\(\s*"([^"]+)"()\s*\)', code.read_text())
        )
    return {one or other for one, other in found}


def tables() -> set[str]:
    """Texts of the tables in `texts.py`, including those of several literals."""
    with translation.override("en"):
        return {
            str(sentence)
            for table in vars(texts).values()
            if isinstance(table, dict)
            for sentence in table.values()
            if isinstance(sentence, texts.Promise)
        }


def test_every_sentence_is_translated_and_compiled() -> None:
    with Path(CATALOG).open("rb") as file:
        french = gettext.GNUTranslations(file)

    wanted = sentences() | tables()
    missing = {text for text in wanted - SAME_IN_FRENCH if french.gettext(text) == text}

    assert len(wanted) > 100
    assert missing == set()


def test_placeholders_are_the_same_in_french() -> None:
    for text in sentences() | tables():
        with translation.override("fr"):
            french = translation.gettext(text)
        placeholder = re.compile(r"%\(\w+\)s|\{\w+\}")
        assert set(placeholder.findall(french)) == set(placeholder.findall(text)), text


def test_times_and_distances_are_written_as_in_france() -> None:
    at = datetime(2026, 3, 4, 14, 5, tzinfo=UTC)
    with translation.override("fr"):
        assert texts.clock(at) == "mercredi 4 mars à 14:05 UTC"
        assert [texts.distance(m) for m in (12, 380, 1234)] == ["50 m", "400 m", "1,2 km"]
        assert [texts.in_minutes(s) for s in (-1, 30, 200)] == [
            "d’un instant à l’autre",
            "environ une minute",
            "environ 4 minutes",
        ]
    assert texts.distance(1234) == "1.2 km"


def page(status: Status, query: str = "", **headers: str) -> Any:
    order = secret_order(status, pod_requirement=PodRequirement.OTP)
    if status == Status.ENROUTE:
        expect_in(order, minutes=3.5)
    return Client().get(f"/track/{order.public_tracking_id}/{query}", headers=headers)


@pytest.mark.django_db
def test_the_link_can_override_the_browsers_language() -> None:
    by_header = page(Status.ENROUTE, **{"Accept-Language": "fr-CI,fr;q=0.9,en;q=0.5"})
    by_link = Client().get(
        by_header.wsgi_request.path + "?lang=en", headers={"Accept-Language": "fr"}
    )
    neither = Client().get(by_header.wsgi_request.path, headers={"Accept-Language": "ak"})

    assert "En route" in by_header.content.decode()
    assert by_header.headers["Content-Language"] == "fr"
    assert "Accept-Language" in by_header.headers["Vary"]
    assert '<html lang="en">' in by_link.content.decode()
    assert '<html lang="en">' in neither.content.decode()


@pytest.mark.django_db
@pytest.mark.parametrize("status", Status)
def test_no_english_is_left_on_the_french_page(status: Status) -> None:
    html = page(status, "?lang=fr").content.decode()
    text = re.sub(r"<style>.*?</style>|<[^>]+>|Shop by the sea", " ", html)

    english = re.findall(r"\b(the|your|drone is|is|delivery|order|please|you)\b", text, re.I)
    assert english == []


@pytest.mark.django_db
def test_refusals_are_french_and_the_language_of_the_link_is_kept() -> None:
    order = secret_order(Status.ARRIVED, pod_requirement=PodRequirement.NONE)
    client, path = Client(), f"/track/{order.public_tracking_id}/?lang=fr"
    (token,) = re.findall(r'name="token" value="(\w+)"', client.get(path).content.decode())

    refused = client.post(path, {"do": "otp", "token": token, "otp_code": "123456"})
    done = client.post(path, {"do": "confirm", "token": token})

    assert "Il n’y a pas de code pour cette livraison." in refused.content.decode()
    assert done.headers["Location"].endswith("/?done=confirm&lang=fr")


@pytest.mark.django_db
def test_the_api_answers_in_english_after_a_french_page_filled_the_cache() -> None:
    shown = page(Status.QUEUED, "?lang=fr")
    tracking_id = shown.wsgi_request.path.split("/")[2]

    answer = Client().get(f"/api/v1/tracking/{tracking_id}", headers={"Accept-Language": "fr"})

    assert answer.json()["headline"] == "Waiting for a drone"
