from collections.abc import Callable
from pathlib import Path

import pytest
import redis
from django.conf import settings as current_settings
from pytest_django import Settings


@pytest.fixture(autouse=True)
def media(settings: Settings, tmp_path: Path) -> Path:
    """Signatures of tests go nowhere else."""
    settings.MEDIA_ROOT = tmp_path
    return tmp_path


@pytest.fixture
def copies_expire() -> Callable[[], None]:
    """Call it to be a few seconds later, as far as the copies in Redis know."""

    def expire() -> None:
        with redis.Redis.from_url(current_settings.REDIS_URL) as client:
            client.delete(*client.keys("tracking:*"))

    return expire
