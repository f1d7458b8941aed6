"""The product without its apps, with one in their place: the schedule then holds nothing else."""

from wingxtra.settings import *  # noqa: F403
from wingxtra.settings import INSTALLED_APPS as ALL

INSTALLED_APPS = [app for app in ALL if "." in app or app.startswith(("django", "unfold", "rest"))]
INSTALLED_APPS += ["wingxtra", "wingxtra.tests.probe"]
ROOT_URLCONF = "wingxtra.tests.probe.settings"
urlpatterns: list[object] = []
