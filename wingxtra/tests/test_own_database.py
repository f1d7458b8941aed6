"""Tests use the same database as the processes that they start."""

import pytest
from django.db import connection


@pytest.mark.django_db
def test_connections_lead_to_the_test_database() -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT current_database()")
        assert cursor.fetchone() == (connection.settings_dict["NAME"],)
