"""The console's list of orders: server time for a dispatcher's clicks and searches."""

import re
import time
from urllib.parse import urlencode

from django.test import Client

from fleet.models import Drone
from orders.models import Order
from wingxtra.accounts.identity import Role
from wingxtra.accounts.models import User
from wingxtra.tests.bench import references
from wingxtra.tests.bench.tables import Figure, Table

LIST = "/admin/orders/order/"
SAMPLES = 5
HEADINGS = ("the list", "ms", "statements", "database ms")
BUDGET_MS, BUDGET_STATEMENTS = 300, 12


def views() -> dict[str, dict[str, object]]:
    """The clicks and searches, as query strings."""
    drone = Drone.objects.values_list("pk", flat=True).first()
    merchant = Order.objects.get(external_id="REF-77").merchant_id
    return {
        "all": {},
        "page 50": {"p": 50},
        "tab: needs attention": {"tab": "attention"},
        "tab: queued": {"tab": "queued"},
        "tab: in flight": {"tab": "in_flight"},
        "tab: done": {"tab": "done"},
        "filter: failed, 1 in 1,000": {"status__exact": "FAILED"},
        "filter: aborted, none": {"status__exact": "ABORTED"},
        "filter: medical": {"priority__exact": "MEDICAL"},
        "filter: failed and medical, none": {
            "status__exact": "FAILED",
            "priority__exact": "MEDICAL",
        },
        "filter: late": {"promise": "late"},
        "filter: late, of one merchant": {"promise": "late", "merchant__id__exact": merchant},
        "filter: one merchant": {"merchant__id__exact": merchant},
        "filter: one drone": {"drone": drone},
        "filter: one reason": {"reason": "WEATHER"},
        "filter: lost": {"holder__exact": "LOST"},
        "search: rare": {"q": "ef-50517"},
        "search: phone as spoken": {"q": "024 100 0077"},
        "search: two words": {"q": "mensah ef-5051"},
        "search: some": {"q": "mensah 99"},
        "search: frequent": {"q": "mensah"},
        "search: all": {"q": "REF"},
        "search: none": {"q": "nobody"},
        "search: frequent, failed": {"q": "mensah", "status__exact": "FAILED"},
        "sorted by promise": {"o": "4"},
        "sorted by status": {"o": "2"},
        "queued, by merchant": {"tab": "queued", "o": "6"},
    }


def measure(orders: int, wanted: re.Pattern[str]) -> None:
    """The median of a few requests in this process, with rendering and without the network."""
    client = Client(SERVER_NAME="127.0.0.1")
    user = User.objects.create_user("bench", role=Role.OPS, is_staff=True)
    client.force_login(user, backend="wingxtra.console.roles.RoleBackend")
    table = Table(f"The console's list of orders, with {orders:,} orders", HEADINGS)
    for name, query in views().items():
        if wanted.search(name):
            address = f"{LIST}?{urlencode(query)}"
            took = sorted((_took(client, address) for _ in range(SAMPLES)), key=lambda t: t[0])
            took_ms, cost = took[SAMPLES // 2]
            statements = Figure(len(cost.statements), at_most=BUDGET_STATEMENTS)
            database_ms = Figure(cost.database_ms, ".1f")
            table.row(name, Figure(took_ms, at_most=BUDGET_MS), statements, database_ms)


def _took(client: Client, address: str) -> tuple[float, references.Cost]:
    with references.watched() as cost:
        start = time.perf_counter()
        answer = client.get(address)
        took_ms = 1000 * (time.perf_counter() - start)
    if answer.status_code != 200:
        raise RuntimeError(f"{address}: {answer.status_code}")
    return took_ms, cost
