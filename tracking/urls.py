from django.urls import path

from tracking.page.views import Confirm, EnterCode, Instruct, MoveDropoff, Sign, Tracking
from tracking.webhooks import views

WEBHOOK = "webhooks/<uuid:webhook_id>"
DELIVERY = "webhook-deliveries/<uuid:delivery_id>"

urlpatterns = [
    path("tracking/<str:tracking_id>", Tracking.as_view(), name="tracking"),
    path("tracking/<str:tracking_id>/dropoff", MoveDropoff.as_view(), name="tracking-dropoff"),
    path("tracking/<str:tracking_id>/instructions", Instruct.as_view(), name="tracking-instruct"),
    path("tracking/<str:tracking_id>/otp", EnterCode.as_view(), name="tracking-otp"),
    path("tracking/<str:tracking_id>/signature", Sign.as_view(), name="tracking-signature"),
    path("tracking/<str:tracking_id>/confirm", Confirm.as_view(), name="tracking-confirm"),
    path("webhooks", views.Webhooks.as_view(), name="webhooks"),
    path(WEBHOOK, views.OneWebhook.as_view(), name="webhook"),
    path(f"{WEBHOOK}/rotate-secret", views.RotateSecret.as_view(), name="webhook-rotate"),
    path(f"{WEBHOOK}/test", views.SendTest.as_view(), name="webhook-test"),
    path(f"{WEBHOOK}/replay", views.ReplayFailed.as_view(), name="webhook-replay-failed"),
    path(f"{WEBHOOK}/deliveries", views.Deliveries.as_view(), name="webhook-deliveries"),
    path(DELIVERY, views.OneDelivery.as_view(), name="webhook-delivery"),
    path(f"{DELIVERY}/replay", views.Replay.as_view(), name="webhook-replay"),
]
