"""What dispatch puts into the console: pages, actions and what needs attention.

Importing it registers them; the console looks for this package in each app.
"""

from dispatch.console import pages  # noqa: F401
