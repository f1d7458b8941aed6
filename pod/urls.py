from django.urls import path

from pod.views import Pod, PodImage

urlpatterns = [
    path("orders/<uuid:order_id>/pod", Pod.as_view(), name="order-pod"),
    path("pod-images/<str:token>", PodImage.as_view(), name="pod-image"),
]
