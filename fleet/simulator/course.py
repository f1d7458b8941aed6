"""How far along its course a flight is: which reports are due."""

from fleet.simulator.airframe import distance_m
from fleet.simulator.flight import LEAVING, Aircraft, Phase
from fleet.simulator.missions import COURSE, Mission

ARRIVAL_RADIUS_M = 30.0
AWAY_RADIUS_M = 30.0


def events_due(aircraft: Aircraft, mission: Mission) -> int:
    """How many events of its course the flight has reached."""
    if not mission.order_id:
        return {Phase.PREFLIGHT: 0, Phase.PARKED: 2}.get(aircraft.phase, 1)
    here, dropoff = (aircraft.lat, aircraft.lng), mission.intent["dropoff"]
    match aircraft.phase:
        case Phase.PREFLIGHT:
            return 0
        case Phase.DROPPING:
            return COURSE.index("DELIVERING") + 1
        case phase if phase in LEAVING or phase is Phase.PARKED:
            return COURSE.index("DELIVERED") + 1
        case Phase.TO_DROPOFF | Phase.DROP_DESCENT if (
            distance_m(*here, dropoff["lat"], dropoff["lng"]) <= ARRIVAL_RADIUS_M
        ):
            return COURSE.index("ARRIVED") + 1
        case _:
            away = distance_m(*here, *aircraft.launched_from) >= AWAY_RADIUS_M
            return COURSE.index("ENROUTE" if away else "LAUNCHED") + 1
