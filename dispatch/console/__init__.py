"""Dispatch in the console: pages, actions and attention lines.

Importing this package registers them; the console imports it from each app.
"""

from dispatch.console import (  # noqa: F401
    landings,
    pages,
    replay_pages,
    ways_home,
    zone_flights,
)
from dispatch.shift import console as shift  # noqa: F401
