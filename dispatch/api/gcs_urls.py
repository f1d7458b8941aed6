from django.urls import path

from dispatch.api import gcs_views

ORDER = "orders/<str:order_id>"

urlpatterns = [
    path("orders", gcs_views.Orders.as_view(), name="gcs-orders"),
    path(ORDER, gcs_views.OneOrder.as_view(), name="gcs-order"),
    path(f"{ORDER}/assign", gcs_views.Assign.as_view(), name="gcs-assign"),
    path(f"{ORDER}/reassign", gcs_views.Reassign.as_view(), name="gcs-reassign"),
    path(f"{ORDER}/cancel", gcs_views.Cancel.as_view(), name="gcs-cancel"),
    path("jobs/active", gcs_views.ActiveJobs.as_view(), name="gcs-active-jobs"),
    path("tracking/preview", gcs_views.TrackingPreview.as_view(), name="gcs-tracking-preview"),
]
