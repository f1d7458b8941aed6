"""The fleet's part of the console: map, drones, holds, policy and attention lines.

The console imports this package of each app, which registers the parts.
"""

from fleet.console import finding, hubs, pages  # noqa: F401
