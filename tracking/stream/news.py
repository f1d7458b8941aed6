"""What has changed for the links that are watched: the answers of `position`, made once for all
who watch a link. Synchronous; one thread calls it.
"""

import time
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import structlog
from django.utils import timezone, translation
from prometheus_client import Counter

from fleet.live import picture
from orders.states import IN_FLIGHT
from tracking.page import cache, position
from wingxtra import redis_client

log = structlog.get_logger(__name__)

# Without a new picture: the steps of orders, and the silence of drones.
LOOK_AGAIN_S = 1.5
# A hash: how many streams each process has open, and when it said so.
OPEN = "tracking:streams"
TELL_OPEN_EVERY_S, TOLD_FOR_S = 1.0, 10.0

opened = Counter("wingxtra_streams_opened_total", "Calls for a stream by status.", ["status"])

# What a page knows, but for what follows from it and the clock.
State = tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Watched:
    """A link: what its pages know, and their languages."""

    state: State
    languages: Collection[str]


@dataclass(frozen=True, slots=True)
class News:
    """What is new at a link. events: by language. is_last: the drone does not fly any more."""

    state: State
    events: Mapping[str, bytes]
    is_last: bool = False


def state_of(seen: cache.Glimpse) -> State:
    return seen.version, seen.view["position"], seen.at, seen.eta_at


def event(seen: cache.Glimpse, language: str) -> bytes:
    with translation.override(language):
        return b"data: %b\n\n" % position.answer_of(seen)


def is_over(seen: cache.Glimpse) -> bool:
    return seen.view["status"] not in IN_FLIGHT


class Looks:
    """Looks at the picture and at the facts of all links that are watched."""

    def __init__(self) -> None:
        self._process = uuid4().hex[:12]
        self._drawn: Any = None
        self._looked_at_s = self._told_open_at_s = float("-inf")

    def look(
        self, watched: Mapping[str, Watched], at_once: Collection[str], open_streams: int
    ) -> tuple[dict[str, News], list[str]]:
        """What is new since the pages' states, and the links whose facts must be read.

        One small round trip while there is no new picture; then only links of `at_once` are looked
        at. Raises Away.
        """
        trip = redis_client.RoundTrip()
        drawn = trip.do("HGET", picture.KEY, picture.NAME)
        started_s = time.monotonic()
        if started_s - self._told_open_at_s >= TELL_OPEN_EVERY_S:
            self._told_open_at_s = started_s
            trip.do("HSET", OPEN, self._process, f"{open_streams} {time.time():.0f}")
            trip.do("EXPIRE", OPEN, 60)
        trip.send()
        is_due = drawn.value != self._drawn or started_s - self._looked_at_s >= LOOK_AGAIN_S
        links = list(watched) if is_due else [link for link in at_once if link in watched]
        if not links:
            return {}, []
        news, missing = _look_at(links, watched, drawn.value)
        if is_due:
            self._drawn, self._looked_at_s = drawn.value, started_s
        return news, missing

    def end(self) -> None:
        """This process has no streams any more. Raises Away."""
        redis_client.ask(lambda client: client.hdel(OPEN, self._process))


def _look_at(
    links: list[str], watched: Mapping[str, Watched], drawn: Any
) -> tuple[dict[str, News], list[str]]:
    trip = redis_client.RoundTrip()
    facts = trip.do("MGET", *map(cache.facts_key, links))
    trip.send()
    now = timezone.now()
    news: dict[str, News] = {}
    missing = []
    for link, cached in zip(links, facts.value, strict=True):
        if cached is None:
            missing.append(link)
            continue
        try:
            found = _news(link, watched[link], cache.glimpse(link, cached, drawn, now))
        except redis_client.Away:
            raise
        except Exception as error:
            log.error("stream_failed", error=str(error), exc_info=error)
            found = News((), {}, is_last=True)
        if found is not None:
            news[link] = found
    return news, missing


def _news(link: str, watched: Watched, seen: cache.Glimpse) -> News | None:
    state = state_of(seen)
    if state == watched.state:
        return None
    events = {language: event(seen, language) for language in watched.languages}
    return News(state, events, is_over(seen))
