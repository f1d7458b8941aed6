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
    webhook_log,
    webhooks,
)

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
