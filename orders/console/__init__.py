"""What orders put into the console: the list with its tabs, the page of an order, late orders.

Importing it registers them; the console looks for this package in each app.
"""

from orders.console import pages  # noqa: F401
