"""A simulated bridge over HTTP."""

from collections.abc import Iterator

import pytest
from pytest_django import Settings

from fleet.simulator.run import Simulator
from fleet.tests.simulated import sim_drone


@pytest.fixture
def bridge(settings: Settings) -> Iterator[Simulator]:
    """A simulated GCS with WX-DRN-001 on the ground in Accra; its clock is stopped."""
    with Simulator([sim_drone(drone_id="WX-DRN-001")], speed=0) as simulator:
        settings.GCS_BRIDGE_URL = simulator.url
        settings.GCS_BRIDGE_TIMEOUT_S = 10.0
        yield simulator
