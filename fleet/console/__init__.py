"""The fleet's part of the console: map, drones, holds, policy and attention lines.

The console imports this package of each app, which registers the parts.
"""

from fleet.console import airworthiness, finding, hubs, pages, pilots  # noqa: F401
