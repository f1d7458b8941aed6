from django.urls import path

from dispatch.api import record_views, reposition_views, run_views, views
from dispatch.occurrences.views import Occurrences, OneOccurrence

ORDER = "orders/<uuid:order_id>"

urlpatterns = [
    path(f"{ORDER}/cancel", views.Cancel.as_view(), name="order-cancel"),
    path(f"{ORDER}/reschedule", views.Reschedule.as_view(), name="order-reschedule"),
    path(f"{ORDER}/advance", views.Advance.as_view(), name="order-advance"),
    path(f"{ORDER}/submit-mission-intent", views.SubmitMissionIntent.as_view(), name="submit"),
    path(f"{ORDER}/abort", views.Abort.as_view(), name="order-abort"),
    path(f"{ORDER}/assign", run_views.Assign.as_view(), name="order-assign"),
    path(f"{ORDER}/reassign", run_views.Reassign.as_view(), name="order-reassign"),
    path(f"{ORDER}/candidates", run_views.Candidates.as_view(), name="order-candidates"),
    path(f"{ORDER}/decisions", run_views.Decisions.as_view(), name="order-decisions"),
    path("dispatch/run", run_views.DispatchRunView.as_view(), name="dispatch-run"),
    path("dispatch/runs", run_views.RunList.as_view(), name="dispatch-runs"),
    path("dispatch/runs/<uuid:run_id>", run_views.RunDetail.as_view(), name="dispatch-one-run"),
    path("flight-records", record_views.FlightRecords.as_view(), name="flight-records"),
    path("occurrences", Occurrences.as_view(), name="occurrences"),
    path("occurrences/<uuid:occurrence_id>", OneOccurrence.as_view(), name="occurrence"),
    path(
        "mission-intents/<uuid:intent_id>",
        views.OneMissionIntent.as_view(),
        name="mission-intent",
    ),
    path(
        "mission-intents/<uuid:intent_id>/events",
        reposition_views.MissionEvents.as_view(),
        name="mission-events",
    ),
]
