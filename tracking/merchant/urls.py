"""`/merchant/`: each page exists twice, in live mode and below `/merchant/test/` in test mode.

`{% url "merchant:orders" %}` in a template, and `frame.address` in a view, keep the mode.
"""

from django.urls import include, path

from tracking.merchant import (
    export,
    import_file,
    keys,
    login,
    new_order,
    order_page,
    orders_list,
    stores,
    webhook_log,
    webhooks,
)
from tracking.merchant.recurring import pages as recurring

WEBHOOK = "webhooks/<uuid:webhook_id>/"

pages = [
    path("", orders_list.orders, name="orders"),
    path("orders/new/", new_order.new_order, name="new-order"),
    path("orders/export.csv", export.export_orders, name="export-orders"),
    path("orders/import/", import_file.import_orders, name="import-orders"),
    path("orders/import/orders.csv", import_file.import_template, name="import-template"),
    path("orders/import/<uuid:import_id>/", import_file.import_preview, name="import-preview"),
    path("orders/<uuid:order_id>/", order_page.order, name="order"),
    path("orders/<uuid:order_id>/label.svg", order_page.label, name="order-label"),
    path("orders/<uuid:order_id>/record", order_page.record, name="order-record"),
    path("orders/<uuid:order_id>/new-link/", order_page.renew_link, name="renew-link"),
    path("recurring/", recurring.recurring_orders, name="recurring-orders"),
    path("recurring/new/", recurring.new_recurring_order, name="new-recurring-order"),
    path("recurring/<uuid:recurring_id>/", recurring.recurring_order, name="recurring-order"),
    path(
        "recurring/<uuid:recurring_id>/change/",
        recurring.change_recurring_order,
        name="change-recurring-order",
    ),
    path(
        "recurring/<uuid:recurring_id>/remove/",
        recurring.remove_recurring_order,
        name="remove-recurring-order",
    ),
    path("stores/", stores.stores, name="stores"),
    path("stores/new/", stores.new_store, name="new-store"),
    path("stores/<uuid:store_id>/", stores.store, name="store"),
    path("stores/<uuid:store_id>/remove/", stores.remove_store, name="remove-store"),
    path("keys/", keys.keys, name="keys"),
    path("keys/<int:key_id>/revoke/", keys.revoke_key, name="revoke-key"),
    path("webhooks/", webhooks.webhooks, name="webhooks"),
    path("webhooks/new/", webhooks.new_webhook, name="new-webhook"),
    path(WEBHOOK, webhooks.webhook, name="webhook"),
    path(f"{WEBHOOK}secret/", webhooks.rotate_webhook, name="rotate-webhook"),
    path(f"{WEBHOOK}remove/", webhooks.remove_webhook, name="remove-webhook"),
    path(
        "webhooks/deliveries/<uuid:delivery_id>/",
        webhook_log.webhook_delivery,
        name="webhook-delivery",
    ),
]

urlpatterns = [
    path("merchant/login/", login.Login.as_view(), name="merchant-login"),
    path("merchant/logout/", login.Logout.as_view(), name="merchant-logout"),
    path("merchant/password/", login.change_password, name="merchant-password"),
    path("merchant/test/", include((pages, "merchant"), namespace="merchant-test")),
    path("merchant/", include((pages, "merchant"), namespace="merchant")),
]
