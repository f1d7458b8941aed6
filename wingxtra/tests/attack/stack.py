"""A production-mode installation that is attacked, and what a try saw."""

import secrets
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from http.cookiejar import Cookie
from pathlib import Path
from shutil import which
from typing import Any
from urllib.parse import parse_qs, urlsplit

import psutil
import requests
from requests.cookies import RequestsCookieJar

from wingxtra.embedded.launcher import Servers

NOWHERE = "http://127.0.0.1:9"
PATIENCE_S = 20.0


@dataclass(frozen=True)
class Seen:
    """What happened. `held`: the product stood the try."""

    what: str
    held: bool


class NotTried(Exception):
    """The try needs something that this machine lacks. The text says what."""


@dataclass(frozen=True)
class Stack:
    """`behind`: the web process behind a proxy, which a try may play itself. `bare`: one without
    a proxy. `_edge`: Caddy before `behind`, empty where it is not installed.
    """

    behind: str
    bare: str
    _edge: str

    @property
    def edge(self) -> str:
        """Raises NotTried."""
        if not self._edge:
            raise NotTried("needs Caddy (apt install caddy)")
        return self._edge


class _Cookies(RequestsCookieJar):
    """Sends cookies that are marked secure, too."""

    def set_cookie(self, cookie: Cookie, *args: Any, **more: Any) -> None:
        cookie.secure = False
        super().set_cookie(cookie, *args, **more)


class Visitor(requests.Session):
    """A client whose proxy says that it speaks TLS."""

    def __init__(self, url: str, **headers: str) -> None:
        super().__init__()
        self.url = url
        self.headers.update({"X-Forwarded-Proto": "https", "Origin": f"https{url[4:]}", **headers})
        self.cookies = _Cookies()

    def request(self, method: Any, url: Any, **more: Any) -> requests.Response:
        """`url` is a path."""
        return super().request(method, self.url + str(url), **{"timeout": PATIENCE_S, **more})

    def timed(self, method: str, path: str, **more: Any) -> tuple[requests.Response, float]:
        """The answer, and the seconds that it took."""
        started = time.monotonic()
        answer = self.request(method, path, **more)
        return answer, time.monotonic() - started


def production(servers: Servers, folder: Path) -> dict[str, str]:
    """The environment of a process in production, on these servers.

    They are named by another path: production refuses the one of servers for development.
    """
    database, redis = urlsplit(servers.database_url), urlsplit(servers.redis_url)
    (folder / "postgres").symlink_to(parse_qs(database.query)["host"][0])
    (folder / "valkey").symlink_to(Path(redis.path).parent)
    socket = f"//{folder}/valkey/{Path(redis.path).name}"
    return {
        "ENVIRONMENT": "production",
        "DJANGO_SETTINGS_MODULE": "wingxtra.settings",
        "SECRET_KEY": secrets.token_urlsafe(48),
        "ALLOWED_HOSTS": "127.0.0.1",
        "PUBLIC_BASE_URL": "https://delivery.example.com",
        "FLEET_API_URL": NOWHERE,
        "GCS_BRIDGE_URL": NOWHERE,
        "DATABASE_URL": database._replace(query=f"host={folder}/postgres").geturl(),
        "REDIS_URL": redis._replace(path=socket).geturl(),
        "MEDIA_ROOT": str(folder / "media"),
        "MESSAGE_CHANNELS": "",
        "LOG_LEVEL": "CRITICAL",
    }


@contextmanager
def running() -> Iterator[Stack]:
    """The web process as `Dockerfile` starts it, twice, and Caddy as in `compose.yaml`."""
    from wingxtra.tests.edge import proxied
    from wingxtra.tests.image import web_command
    from wingxtra.tests.serving import served

    command = web_command()
    with ExitStack() as stack:
        (bare,) = stack.enter_context(served(command, quiet=True, TRUSTED_PROXY_COUNT="0"))
        (behind,) = stack.enter_context(served(command, quiet=True, TRUSTED_PROXY_COUNT="1"))
        yield Stack(behind, bare, stack.enter_context(proxied(behind)) if which("caddy") else "")


def valkey() -> psutil.Process:
    from wingxtra.redis_client import client

    return psutil.Process(client().info()["process_id"])
