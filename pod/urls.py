from django.urls import path

from pod.views import OrderRecord, Pod, PodImage

urlpatterns = [
    path("orders/<uuid:order_id>/pod", Pod.as_view(), name="order-pod"),
    path("orders/<uuid:order_id>/record", OrderRecord.as_view(), name="order-record"),
    path("pod-images/<str:token>", PodImage.as_view(), name="pod-image"),
]
