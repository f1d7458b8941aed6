"""The product's settings with one small app instead of its own apps."""

from wingxtra.settings import *  # noqa: F403
from wingxtra.settings import INSTALLED_APPS as ALL

INSTALLED_APPS = [
    app for app in ALL if app not in ("fleet", "orders", "dispatch", "pod", "tracking")
]
INSTALLED_APPS += ["wingxtra.tests.probe"]
ROOT_URLCONF = "wingxtra.tests.probe.settings"
urlpatterns: list[object] = []
