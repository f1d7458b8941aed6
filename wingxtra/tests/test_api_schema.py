"""The interface describes itself, from our own files alone."""

import re

import pytest
import yaml
from django.test import Client

pytestmark = pytest.mark.django_db


def test_the_schema_is_openapi_and_knows_both_ways_to_prove_who_one_is():
    response = Client().get("/api/schema")
    assert response.status_code == 200
    schema = yaml.safe_load(response.content)
    assert schema["openapi"].startswith("3.1")
    assert "/api/v1/auth/token" in schema["paths"]
    assert {one["type"] for one in schema["components"]["securitySchemes"].values()} == {
        "apiKey",
        "http",
    }


def test_the_docs_load_nothing_from_elsewhere():
    response = Client().get("/api/docs")
    assert response.status_code == 200
    links = re.findall(r'(?:src|href)="([^"]+)"', response.content.decode())
    assert links
    assert all(link.startswith("/static/") for link in links)


@pytest.mark.parametrize("path", ["/api/v1/nothing", "/api/", "/gcs/nothing"])
def test_below_the_api_whatever_is_not_there_is_a_problem(path):
    response = Client().get(path)
    assert response.status_code == 404
    assert response.headers["Content-Type"] == "application/problem+json"
