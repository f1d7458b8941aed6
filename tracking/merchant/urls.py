"""`/merchant/`: each page exists twice, in live mode and below `/merchant/test/` in test mode.

`{% url "merchant:orders" %}` in a template, and `frame.address` in a view, keep the mode.
"""

from django.urls import include, path

from tracking.merchant import keys, login, new_order, order_page, orders_list

pages = [
    path("", orders_list.orders, name="orders"),
    path("orders/new/", new_order.new_order, name="new-order"),
    path("orders/<uuid:order_id>/", order_page.order, name="order"),
    path("orders/<uuid:order_id>/label.svg", order_page.label, name="order-label"),
    path("orders/<uuid:order_id>/record", order_page.record, name="order-record"),
    path("keys/", keys.keys, name="keys"),
    path("keys/<int:key_id>/revoke/", keys.revoke_key, name="revoke-key"),
]

urlpatterns = [
    path("merchant/login/", login.Login.as_view(), name="merchant-login"),
    path("merchant/logout/", login.Logout.as_view(), name="merchant-logout"),
    path("merchant/password/", login.change_password, name="merchant-password"),
    path("merchant/test/", include((pages, "merchant"), namespace="merchant-test")),
    path("merchant/", include((pages, "merchant"), namespace="merchant")),
]
