from django.urls import path

from tracking.views import Confirm, EnterCode, MoveDropoff, Sign, Tracking

urlpatterns = [
    path("tracking/<str:tracking_id>", Tracking.as_view(), name="tracking"),
    path("tracking/<str:tracking_id>/dropoff", MoveDropoff.as_view(), name="tracking-dropoff"),
    path("tracking/<str:tracking_id>/otp", EnterCode.as_view(), name="tracking-otp"),
    path("tracking/<str:tracking_id>/signature", Sign.as_view(), name="tracking-signature"),
    path("tracking/<str:tracking_id>/confirm", Confirm.as_view(), name="tracking-confirm"),
]
