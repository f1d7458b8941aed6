from django.urls import path

from fleet.airspace.views import AirspaceMap
from fleet.airworthiness.views import Airworthiness, Pilots
from fleet.views import DroneDetail, DroneList

urlpatterns = [
    path("airspace", AirspaceMap.as_view()),
    path("drones", DroneList.as_view()),
    path("drones/<str:drone_id>", DroneDetail.as_view()),
    path("drones/<str:drone_id>/airworthiness", Airworthiness.as_view()),
    path("pilots", Pilots.as_view()),
]
