"""Each icon that a page can show is in the console's font."""

import re
from pathlib import Path

import unfold
from django.conf import settings

from wingxtra.console import icons

NAMES = Path(icons.__file__).with_name("names.txt")
IN_PAGES = re.compile(
    r'<(\w+)[^<]*material-symbols-outlined[^>]*>(.*?)</\1>|icon="([a-z0-9_]+)"', re.DOTALL
)
LOGIC = re.compile(r"\{%.*?%\}|\{\{.*?\}\}|\{#.*?#\}|<.*?>", re.DOTALL)
IN_CODE = re.compile(r'icon(?:": | = |: str = |=)"([a-z0-9_]+)"|_page\("[^"]+", "([a-z0-9_]+)"')
APPS = ("wingxtra", "fleet", "orders", "dispatch", "pod", "tracking", "templates")


def test_each_icon_is_in_the_font() -> None:
    """If not, add its name to names.txt and run `python -m wingxtra.console.icons`."""
    folders = [settings.BASE_DIR / app for app in APPS]
    pages = [page for folder in folders for page in folder.rglob("*.html")]
    pages += Path(unfold.__file__).parent.joinpath("templates").rglob("*.html")
    code = [file for folder in folders for file in folder.rglob("*.py") if "tests" not in str(file)]
    used = set()
    for files, pattern in ((pages, IN_PAGES), (code, IN_CODE)):
        for file in files:
            for *_, one, other in pattern.findall(file.read_text()):
                used |= set(LOGIC.sub(" ", one).split()) | {other}
    assert len(used) > 60
    used.discard("")
    assert used - set(NAMES.read_text().split()) == set()
