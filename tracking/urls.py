from django.urls import path

from tracking.views import EnterCode, Sign, Tracking

urlpatterns = [
    path("tracking/<str:tracking_id>", Tracking.as_view(), name="tracking"),
    path("tracking/<str:tracking_id>/otp", EnterCode.as_view(), name="tracking-otp"),
    path("tracking/<str:tracking_id>/signature", Sign.as_view(), name="tracking-signature"),
]
