"""What the fleet puts into the console: the map, drones, holds, policy and what needs attention.

Importing it registers them; the console looks for this package in each app.
"""

from fleet.console import pages  # noqa: F401
