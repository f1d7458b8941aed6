"""Orders in the console: the list with its tabs, the page of an order, late orders.

Importing this package registers them; the console imports it from each app.
"""

from orders.console import finding, pages  # noqa: F401
