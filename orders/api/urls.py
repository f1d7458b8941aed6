from django.urls import path

from orders.api import parcel_views, store_views, views
from orders.loading.views import Label
from orders.recurring import views as recurring

urlpatterns = [
    path("orders/<uuid:order_id>", views.OneOrder.as_view(), name="order"),
    path("orders/<uuid:order_id>/ready", parcel_views.Ready.as_view(), name="order-ready"),
    path("orders/<uuid:order_id>/custody", parcel_views.Custody.as_view(), name="order-custody"),
    path("orders/<uuid:order_id>/correct", parcel_views.Correct.as_view(), name="order-correct"),
    path(
        "orders/<uuid:order_id>/tracking-link", views.TrackingLink.as_view(), name="tracking-link"
    ),
    # orders/<id>/events and /reschedule are in dispatch.api, because they need missions.
    path("orders/<uuid:order_id>/label", Label.as_view(), name="order-label"),
    path("orders", views.Orders.as_view(), name="orders"),
    path("quotes", views.Quotes.as_view(), name="quotes"),
    path("quotes/<uuid:quote_id>", views.OneQuote.as_view(), name="quote"),
    path("stores", store_views.Stores.as_view(), name="stores"),
    path("stores/<uuid:store_id>", store_views.OneStore.as_view(), name="store"),
    path("recurring-orders", recurring.RecurringOrders.as_view(), name="recurring-orders"),
    path(
        "recurring-orders/<uuid:recurring_id>",
        recurring.OneRecurringOrder.as_view(),
        name="recurring-order",
    ),
    path(
        "recurring-orders/<uuid:recurring_id>/skip",
        recurring.Skip.as_view(),
        name="recurring-order-skip",
    ),
    path(
        "recurring-orders/<uuid:recurring_id>/unskip",
        recurring.Unskip.as_view(),
        name="recurring-order-unskip",
    ),
    path("jobs", views.Jobs.as_view(), name="jobs"),
    path("jobs/<uuid:job_id>", views.OneJob.as_view(), name="job"),
]
