"""The console's pages for browser tests that walk through all of them, and how a page is judged."""

from pathlib import Path

from playwright.sync_api import Page

from dispatch.models import WhatIf
from dispatch.tests import whatif_day
from fleet.models import ServiceArea
from wingxtra.accounts.models import User
from wingxtra.console import actions
from wingxtra.tests import lists, recording, scene
from wingxtra.tests.scene import Scene

AXE = Path(__file__).parent / "vendor" / "axe.min.js"
TABLET = {"width": 820, "height": 1180}


def serious_violations(page: Page) -> list[str]:
    page.evaluate(AXE.read_text(encoding="utf-8"))  # as a debugger does, outside the policy
    found = page.evaluate("axe.run().then((result) => result.violations)")
    return [
        f"{violation['id']}: {[node['html'][:200] for node in violation['nodes'][:4]]}"
        for violation in found
        if violation["impact"] in ("serious", "critical")
    ]


def addresses(city: Scene, boss: User) -> dict[str, str]:
    """The address of each page by a short name, after making something to show on it."""
    whatif_day.answered()
    rows = lists.one_of_each(city.orders["unproven"], boss)
    job, gone = recording.of_a_flight(city.orders["enroute"])
    return {
        **_of_orders_and_drones(city),
        **{name: actions.page_of(row) for name, row in rows.items() if name in WITH_A_PAGE},
        **LISTS,
        "shift": "/admin/shift/",
        "shift-days": "/admin/shift/?days=7",
        "shift-people": f"/admin/shift/people/?user={boss}&days=7",
        "shift-drone": f"/admin/shift/drone/?drone={city.drone_of('enroute')}",
        "shift-pauses": "/admin/shift/pauses/",
        "note-form": "/admin/dispatch/shiftnote/add/",
        "zone-file-form": "/admin/fleet/zoneimport/add/",
        "zone-file-use": f"/admin/do/fleet.zoneimport/put_into_use/?id={rows['zone-file'].pk}",
        "escalation-rule-form": "/admin/escalation/rule/add/",
        "occurrence-form": f"/admin/do/orders.order/occurrence/?id={city.orders['astray'].pk}",
        "occurrence-print": f"/admin/dispatch/occurrence/{rows['occurrence'].pk}/print/",
        "pilot-form": "/admin/fleet/pilot/add/",
        "pilot-shift-form": "/admin/fleet/shift/add/",
        "order-with-clearance": scene.page_of(city.orders["unproven"].pk),
        "replay": f"/admin/replay/flight/{job.pk}/?at={gone + recording.IN_THE_GAP_S:.0f}",
        "replay-area": f"/admin/replay/area/{ServiceArea.objects.values_list('pk')[0][0]}/",
        "find": "/admin/find/?q=drone",
        "import": "/admin/orders/order/import/",
    }


# The rows of `lists.one_of_each` with a page of their own.
WITH_A_PAGE = {
    *("pilot", "pilot-shift", "defect", "maintenance-rule", "maintenance", "pack", "checklist"),
    *("attestation", "occurrence", "zone-file", "escalation-rule", "alert", "note", "hold"),
    *("discrepancy", "publishing-pause", "case", "mission", "zone", "store", "record"),
}
LISTS = {
    f"list of {name}": f"/admin/{name.replace('.', '/')}/"
    for name in (
        *("fleet.pilot", "fleet.shift", "fleet.defect", "fleet.maintenancerule"),
        *("fleet.maintenance", "fleet.batterypack", "fleet.checklist", "fleet.attestation"),
        *("fleet.geozone", "fleet.zoneimport", "fleet.dronehold", "fleet.hub"),
        *("dispatch.occurrence", "dispatch.flightrecord", "dispatch.mission"),
        *("dispatch.discrepancy", "dispatch.publishingpause", "dispatch.shiftnote"),
        *("escalation.rule", "escalation.alert", "pod.case", "pod.proofofdelivery"),
        *("orders.store", "orders.recurringorder", "console.bulkaction"),
        *("tracking.webhookendpoint", "tracking.webhookdelivery", "accounts.apikey"),
        *("accounts.merchant", "fleet.policyversion"),
    )
}


def _of_orders_and_drones(city: Scene) -> dict[str, str]:
    return {
        "dashboard": "/admin/",
        "map": "/admin/map/",
        "order": scene.page_of(city.orders["enroute"].pk),
        "policy": "/admin/fleet/policy/1/change/",
        "orders": "/admin/orders/order/",
        "new-order": f"/admin/orders/order/new/?again={city.orders['queued'].pk}",
        "details": f"/admin/do/orders.order/details/?id={city.orders['urgent'].pk}",
        "close-attempt": f"/admin/do/orders.order/close-attempt/?id={city.orders['enroute'].pk}",
        "assign": f"/admin/do/orders.order/assign/?id={city.orders['urgent'].pk}",
        "drones": "/admin/fleet/drone/",
        "drone": f"/admin/fleet/drone/{city.drone_of('enroute')}/change/",
        "runs": "/admin/dispatch/dispatchrun/",
        "what-ifs": "/admin/dispatch/whatif/",
        "what-if": f"/admin/dispatch/whatif/{WhatIf.objects.get().pk}/change/",
        "what-if-form": "/admin/dispatch/whatif/add/",
        "zone": "/admin/fleet/geozone/add/",
        "hub": f"/admin/fleet/hub/{city.drones[0].hub_id}/change/",
        "move-drop": f"/admin/do/orders.order/move-drop/?id={city.orders['urgent'].pk}",
        "users": "/admin/accounts/user/",
        "user": "/admin/accounts/user/add/",
        "history": "/admin/admin/logentry/",
    }
