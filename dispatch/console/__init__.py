"""Dispatch in the console: pages, actions and attention lines.

Importing this package registers them; the console imports it from each app.
"""

from dispatch.console import landings, pages, pilots, ways_home  # noqa: F401
