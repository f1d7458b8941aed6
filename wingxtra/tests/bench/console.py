"""Lists and pages of the console: server time for a dispatcher's clicks and searches."""

import re
import time
from datetime import timedelta
from urllib.parse import urlencode

from django.test import Client
from django.utils import timezone

from dispatch.shift.report import FILES
from fleet.models import Drone, ServiceArea
from orders.console.tabs import TABS
from orders.models import Order, Store
from wingxtra.accounts.models import User
from wingxtra.console import dashboard
from wingxtra.tests import cpu
from wingxtra.tests.bench import multiples, references, seed
from wingxtra.tests.bench.tables import Figure, Table

LIST = "/admin/orders/order/"
SAMPLES = 5
HEADINGS = ("page", "ms", "CPU ms", "statements", "database ms")
BUDGET_MS, BUDGET_STATEMENTS = 300, 12


def lists() -> dict[str, dict[str, object]]:
    """The clicks and searches in the list of orders, as query strings."""
    rare, drone = Drone.objects.order_by("pk").values_list("pk", flat=True)[:2]
    merchant = Order.objects.get(external_id="REF-77").merchant_id
    area, store = (str(model.objects.values_list("pk")[0][0]) for model in (ServiceArea, Store))
    late = {"promise": "late"}
    return {
        "all": {},
        "page 50": {"p": 50},
        **{f"tab: {tab.title.lower()}": {"tab": name} for name, tab in TABS.items()},
        "filter: failed, 1 in 1,000": {"status__exact": "FAILED"},
        "filter: aborted, none": {"status__exact": "ABORTED"},
        "filter: canceled": {"status__exact": "CANCELED"},
        "filter: medical": {"priority__exact": "MEDICAL"},
        "filter: failed and medical, none": {
            "status__exact": "FAILED",
            "priority__exact": "MEDICAL",
        },
        "filter: late": late,
        "filter: on time so far": {"promise": "kept"},
        "filter: late, of one merchant": late | {"merchant__id__exact": merchant},
        "filter: one merchant": {"merchant__id__exact": merchant},
        "filter: one drone": {"drone": drone},
        "filter: one drone, 1 in 1,000": {"drone": rare},
        "filter: one drone, failed": {"drone": drone, "status__exact": "FAILED"},
        "filter: one store, 1 in 5,000": {"store__id__exact": store},
        "filter: one area": {"service_area__id__exact": area},
        "filter: reason, 1 in 4,000": {"reason": "WEATHER"},
        "filter: reason, none": {"reason": "NO_DRONE"},
        "filter: lost, 1 in 4,000": {"holder__exact": "LOST"},
        "filter: parcel with its sender": {"holder__exact": "SENDER"},
        "filter: parcel at a hub, none": {"holder__exact": "HUB"},
        "filter: on hold": {"hold": "any"},
        "filter: placed on two days": _days("created_at", 60, 59),
        "filter: promised on two days": _days("deliver_by", 60, 59),
        "search: rare": {"q": "ef-50517"},
        "search: phone as spoken": {"q": "024 100 0077"},
        "search: two words": {"q": "mensah ef-5051"},
        "search: some": {"q": "mensah 99"},
        "search: frequent": {"q": "mensah"},
        "search: all": {"q": "REF"},
        "search: none": {"q": "nobody"},
        "search: frequent, failed": {"q": "mensah", "status__exact": "FAILED"},
        "sorted by tracking id": {"o": "1"},
        "sorted by status": {"o": "2"},
        "sorted by promise": {"o": "4"},
        "sorted by promise, done": {"o": "4", "tab": "done"},
        "sorted by time of placing": {"o": "-9"},
        "queued, by merchant": {"tab": "queued", "o": "6"},
    }


def pages() -> dict[str, tuple[str, int]]:
    """Other pages: their address, and how many statements they may send."""
    today, yesterday = (str((timezone.now() - timedelta(days=n)).date()) for n in (0, 1))
    lines = dashboard.board(timezone.now()).lines
    longest = max(lines, key=lambda line: line.count)
    drone, area = Drone.objects.order_by("pk")[1].pk, ServiceArea.objects.values_list("pk")[0][0]
    found: dict[str, tuple[str, int]] = {
        "dashboard": ("/admin/", BUDGET_STATEMENTS),
        "dashboard, its poll": ("/admin/now/", BUDGET_STATEMENTS),
        f"attention: a line of {longest.count}": (
            f"/admin/now/line/?{urlencode({'cause': longest.cause})}",
            BUDGET_STATEMENTS,
        ),
    }
    few = {
        "map, its poll": "/admin/map/data/",
        "drones": "/admin/fleet/drone/",
        "find": f"/admin/find/data/?{urlencode({'q': 'mensah'})}",
        "shift report, today": f"/admin/shift/?day={today}",
        "shift report, yesterday": f"/admin/shift/?day={yesterday}",
        **{
            f"shift report, yesterday's file: {name}": f"/admin/shift/csv/?{query}"
            for name in FILES
            for query in [urlencode({"day": yesterday, "table": name})]
        },
        "shift report, 7 days": f"/admin/shift/?day={today}&days=7",
        "shift report, 7 days of one area": f"/admin/shift/?day={today}&days=7&area={area}",
        "a drone's day": f"/admin/shift/drone/?drone={drone}&day={yesterday}",
        "who did what, one day": f"/admin/shift/people/?user={seed.PERSON}&day={yesterday}",
        "who did what, 30 days": f"/admin/shift/people/?user={seed.PERSON}&days=30",
        "pauses": "/admin/shift/pauses/",
        "history": "/admin/admin/logentry/",
        "history, of one person": f"/admin/admin/logentry/?user__id__exact={_person().pk}",
        "missions": "/admin/dispatch/mission/",
        "an order": f"{LIST}{Order.objects.get(external_id='REF-77').pk}/change/",
    }
    return found | {name: (url, BUDGET_STATEMENTS) for name, url in few.items()}


def _person() -> User:
    return User.objects.get(username=seed.PERSON)


def _days(field: str, first_ago: int, last_ago: int) -> dict[str, object]:
    now = timezone.now()
    first, last = ((now - timedelta(days=ago)).date() for ago in (first_ago, last_ago))
    return {f"{field}_from": first, f"{field}_to": last}


def measure(orders: int, wanted: re.Pattern[str]) -> None:
    """Requests in this process, with rendering and without the network.

    ms: the median by the clock. CPU ms: the mean time of the processors in this process, PostgreSQL
    and Valkey, which other load of the machine changes less. The collector skips what was there
    before, as in production.
    """
    client = Client(SERVER_NAME="127.0.0.1")
    client.force_login(_person(), backend="wingxtra.console.roles.RoleBackend")
    asked = {name: (f"{LIST}?{urlencode(q)}", BUDGET_STATEMENTS) for name, q in lists().items()}
    for title, found in (("list of orders", asked), ("other pages", pages())):
        table = Table(f"The console's {title}, with {orders:,} orders", HEADINGS, first_width=44)
        for name, (address, most) in found.items():
            if wanted.search(name):
                _took(client, address)  # for what is loaded at the first call
                with multiples.frozen():
                    _row(table, name, client, address, most)


def _row(table: Table, name: str, client: Client, address: str, most: int) -> None:
    with cpu.measured() as spent:
        took = sorted((_took(client, address) for _ in range(SAMPLES)), key=lambda one: one[0])
    took_ms, cost = took[SAMPLES // 2]
    cpu_ms = Figure(1000 * spent.all_s / SAMPLES)
    statements = Figure(len(cost.statements), at_most=most)
    database_ms = Figure(cost.database_ms, ".1f")
    table.row(name, Figure(took_ms, at_most=BUDGET_MS), cpu_ms, statements, database_ms)


def _took(client: Client, address: str) -> tuple[float, references.Cost]:
    with references.watched() as cost:
        start = time.perf_counter()
        answer = client.get(address)
        if answer.streaming:
            b"".join(answer)
        took_ms = 1000 * (time.perf_counter() - start)
    if answer.status_code not in (200, 302):  # a search that names one order leads to it
        raise RuntimeError(f"{address}: {answer.status_code}")
    return took_ms, cost
