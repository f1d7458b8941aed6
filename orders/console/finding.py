"""Orders, merchants and stores in the console's palette. No line has personal data."""

from typing import Any

from django.db.models import QuerySet, Value
from django.db.models.functions import Coalesce, Concat
from django.urls import reverse

from fleet.feasibility.rules import Priority
from orders.console import new_order
from orders.models import Order, Store
from orders.states import Status
from wingxtra.accounts.models import Merchant
from wingxtra.console import palette
from wingxtra.console.palette import Entry, Hit, Source

VIEW = "orders.view_order"
LINE = Value("\n")


def _orders(text: str, user: Any) -> QuerySet[Any]:
    in_full = user.has_perm("orders.view_personal_data")
    about = Concat(
        "status", LINE, "priority", LINE, "merchant__name", LINE, Coalesce("external_id", Value(""))
    )
    columns = palette.as_text(key="pk", title="public_tracking_id", detail=about)
    return Order.objects.matching(text, in_full=in_full).annotate(**columns)


def _order(key: str, title: str, detail: str) -> Hit:
    status, priority, merchant, reference = detail.split("\n", 3)
    parts = [Status(status).label, Priority(priority).label, merchant, reference]
    url = reverse("admin:orders_order_change", args=[key])
    return Hit("Orders", title, " · ".join(filter(None, parts)), url)


def _named(rows: QuerySet[Any], text: str, **columns: Any) -> QuerySet[Any]:
    for word in text.split():
        rows = rows.filter(name__icontains=word)
    return rows.order_by("name").annotate(**palette.as_text(key="pk", title="name", **columns))


def _merchants(text: str, user: Any) -> QuerySet[Any]:
    return _named(Merchant.objects.all(), text, detail=Value("Its orders"))


def _stores(text: str, user: Any) -> QuerySet[Any]:
    return _named(Store.objects.all(), text, detail="merchant__name")


def _listed(kind: str, parameter: str) -> Any:
    def hit(key: str, title: str, detail: str) -> Hit:
        url = f"{reverse('admin:orders_order_changelist')}?{parameter}={key}"
        return Hit(kind, title, detail, url)

    return hit


palette.add_source(Source("Orders", VIEW, _orders, _order))
palette.add_source(
    Source("Merchants", VIEW, _merchants, _listed("Merchants", "merchant__id__exact"))
)
palette.add_source(Source("Stores", VIEW, _stores, _listed("Stores", "store__id__exact")))
palette.add_entry(
    Entry(
        "New order",
        new_order.PERMISSION,
        lambda: reverse("admin:orders_order_new"),
        "place an order for a merchant create add",
    )
)
palette.add_entry(
    Entry(
        "Orders from a file",
        "orders.change_order",
        lambda: reverse("admin:orders_order_import"),
        "import CSV upload",
    )
)
