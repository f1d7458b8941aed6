"""The events of an order: the busiest call of a flight, so its route is tried before others."""

from django.urls import path

from dispatch.api.views import OrderEvents

urlpatterns = [
    path("orders/<uuid:order_id>/events", OrderEvents.as_view(), name="order-events"),
]
