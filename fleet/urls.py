from django.urls import path

from fleet.views import DroneDetail, DroneList

urlpatterns = [
    path("drones", DroneList.as_view()),
    path("drones/<str:drone_id>", DroneDetail.as_view()),
]
