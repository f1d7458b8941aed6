"""The console's menu. It refers to apps by URL names only, and hides what the user may not see."""

from collections.abc import Callable
from functools import cache
from typing import Any

from django.http import HttpRequest
from django.urls import reverse


def _needs(permission: str) -> Callable[[HttpRequest], bool]:
    return lambda request: request.user.has_perm(permission)


def _page(title: str, icon: str, model: str) -> dict[str, Any]:
    app, name = model.split(".")
    return {
        "title": title,
        "icon": icon,
        "link": reverse(f"admin:{app}_{name}_changelist"),
        "permission": _needs(f"{app}.view_{name}"),
    }


@cache
def _composed() -> list[dict[str, Any]]:
    """Once: each page would look up all its addresses again."""
    return [
        {
            "title": "Operations",
            "items": [
                {"title": "Now", "icon": "monitor_heart", "link": reverse("admin:index")},
                {"title": "Live map", "icon": "map", "link": reverse("admin:map")},
                _page("Orders", "package_2", "orders.order"),
                _page("Drones", "drone", "fleet.drone"),
                {
                    "title": "Shift",
                    "icon": "schedule",
                    "link": reverse("admin:shift"),
                    "permission": _needs("orders.view_order"),
                },
                _page("Dispatch runs", "alt_route", "dispatch.dispatchrun"),
                _page("What if", "experiment", "dispatch.whatif"),
                _page("Missions", "send", "dispatch.mission"),
                _page("Flight records", "flight_takeoff", "dispatch.flightrecord"),
                _page("Discrepancies", "rule", "dispatch.discrepancy"),
                _page("Occurrences", "report", "dispatch.occurrence"),
                _page("Drone holds", "pan_tool", "fleet.dronehold"),
                _page("Proofs", "verified", "pod.proofofdelivery"),
                _page("Cases", "support_agent", "pod.case"),
                _page("Bulk actions", "checklist", "console.bulkaction"),
                _page("Alerts", "notifications_active", "escalation.alert"),
                {
                    "title": "Loading",
                    "icon": "forklift",
                    "link": reverse("loading"),
                    "permission": _needs("orders.change_order"),
                },
            ],
        },
        {
            "title": "Where we fly",
            "items": [
                _page("Hubs", "warehouse", "fleet.hub"),
                _page("Service areas", "hexagon", "fleet.servicearea"),
                _page("Geographical zones", "block", "fleet.geozone"),
                _page("Zone files", "upload_file", "fleet.zoneimport"),
                _page("Drone kinds", "category", "fleet.dronekind"),
                _page("Pilots", "badge", "fleet.pilot"),
                _page("Pilot shifts", "schedule", "fleet.shift"),
            ],
        },
        {
            "title": "Fit to fly",
            "items": [
                _page("Defects", "build", "fleet.defect"),
                _page("Maintenance", "home_repair_service", "fleet.maintenance"),
                _page("Maintenance rules", "event_available", "fleet.maintenancerule"),
                _page("Battery packs", "battery_full", "fleet.batterypack"),
                _page("Checklists", "fact_check", "fleet.checklist"),
                _page("Attestations", "task_alt", "fleet.attestation"),
            ],
        },
        {
            "title": "Administration",
            "items": [
                _page("Policy", "tune", "fleet.policy"),
                _page("Policy history", "history", "fleet.policyversion"),
                _page("Merchants", "storefront", "accounts.merchant"),
                _page("Stores", "store", "orders.store"),
                _page("Recurring orders", "event_repeat", "orders.recurringorder"),
                _page("Webhooks", "webhook", "tracking.webhookendpoint"),
                _page("Webhook deliveries", "outbox", "tracking.webhookdelivery"),
                _page("Escalation", "campaign", "escalation.rule"),
                _page("API keys", "key", "accounts.apikey"),
                _page("Users", "group", "accounts.user"),
                _page("History", "manage_search", "admin.logentry"),
            ],
        },
    ]


def menu(request: HttpRequest) -> list[dict[str, Any]]:
    """The callback in UNFOLD. unfold copies the menu and removes what the user may not see."""
    return _composed()
