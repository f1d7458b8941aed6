"""Which altitudes of one drone to believe. Pure.

The datum is unknown: ground, sea level or ellipsoid, and some senders change it in flight, freeze,
or send another quantity. So only changes are checked: an altitude is believed when the drone can
have climbed or descended to it since the last believed one.

| limit | value | reason |
|---|---|---|
| JITTER_M | 5 | a barometer in gusts, twice its usual error |
| NOISE_M | 10 | a smaller jump is noise once the next samples agree |
| CLIMB_SLACK | 1.5 | drones climb and descend faster than the usual rate of their kind |
| GROUND_DRIFT_M | 15 | drift of a GPS altitude on the ground within a minute |
| FROZEN_S, FROZEN_SAMPLES | 5, 3 | no sensor repeats a value for this long in flight |
| NEW_DATUM_SAMPLES | 3 | two bad values in a row are common; three that agree are a new datum |
"""

from statistics import median

from msgspec import Struct
from msgspec.structs import replace

JITTER_M = 5.0
NOISE_M = 10.0
CLIMB_SLACK = 1.5
GROUND_DRIFT_M = 15.0
GROUND_SAMPLES = 5
FROZEN_S = 5.0
FROZEN_SAMPLES = 3
NEW_DATUM_SAMPLES = 3


class Rates(Struct, frozen=True):
    """Limits for a change of altitude. pace: of the drone's clock against ours. armed: may fly."""

    climb_mps: float
    descent_mps: float
    pace: float
    armed: bool


class Altimeter(Struct, frozen=True, omit_defaults=True):
    """The altitude history of one drone. Times are POSIX seconds."""

    ground: tuple[float, ...] = ()  # altitudes on the ground, newest last
    alt_m: float | None = None  # the last believed altitude
    at: float = 0.0
    off_m: float | None = None  # the last outlier; a run of outliers agrees with itself
    off_at: float = 0.0
    off_looks: int = 0
    off_jump_m: float = 0.0  # from the last believed altitude to the first outlier
    off_pace: float = 0.0  # the clock pace at which that jump would be a climb
    said_m: float | None = None  # the last sample, and since when it repeats
    said_since: float = 0.0
    said_looks: int = 0
    broken: str = ""  # why no altitude of this flight is believed

    @property
    def ground_m(self) -> float | None:
        """The altitude of the ground; None unless most ground samples agree."""
        if not self.ground:
            return None
        middle = median(self.ground)
        agreeing = sum(abs(alt_m - middle) <= GROUND_DRIFT_M for alt_m in self.ground)
        return middle if 2 * agreeing > len(self.ground) else None

    def after_ground_sample(self, alt_m: float, at: float) -> "Altimeter":
        """The history after a sample on the ground, where any change of datum is accepted."""
        after = replace(self, ground=(*self.ground, alt_m)[-GROUND_SAMPLES:], broken="")
        return replace(after, alt_m=after.ground_m, at=at, off_m=None, off_looks=0, said_m=None)

    def after_flight_sample(self, alt_m: float, at: float, rates: Rates) -> tuple["Altimeter", str]:
        """The history after a sample in flight, and why the altitude is not believed, "" if it is.

        The first value after a frozen one needs a second one that agrees.
        """
        if self.ground and self.ground_m is None and not self.broken:
            ground = ", ".join(f"{alt_m:.0f}" for alt_m in self.ground)
            broken = f"altitudes {ground} m on the ground"
            return replace(self, broken=broken), broken
        after = self._count_repeats(alt_m, at)
        if self.broken:
            return after, self.broken
        was_frozen, is_frozen = self._is_frozen(at, rates), after._is_frozen(at, rates)
        if is_frozen:
            return after, f"altitude {alt_m:.0f} m, frozen for {at - after.said_since:.0f} s"
        if not was_frozen and after._continues(alt_m, at, rates):
            return replace(after, alt_m=alt_m, at=at, off_m=None, off_looks=0), ""
        return after._add_outlier(alt_m, at, rates)

    def _is_frozen(self, at: float, rates: Rates) -> bool:
        is_old = (at - self.said_since) * rates.pace >= FROZEN_S
        return self.said_looks >= FROZEN_SAMPLES and is_old and rates.armed

    def _count_repeats(self, alt_m: float, at: float) -> "Altimeter":
        if alt_m == self.said_m:
            return replace(self, said_looks=self.said_looks + 1)
        return replace(self, said_m=alt_m, said_since=at, said_looks=1)

    def _continues(self, alt_m: float, at: float, rates: Rates) -> bool:
        """Whether the altitude continues the believed ones rather than the outliers."""
        continues_outliers = self.off_m is not None and (
            _needed_pace(self.off_m, self.off_at, alt_m, at, rates) <= rates.pace
        )
        if self.alt_m is None:  # nothing to compare with: two samples must agree
            return continues_outliers
        if continues_outliers and self.off_pace <= rates.pace:
            return True  # the clock runs faster than estimated: it was a climb
        if (
            continues_outliers
            and self.off_looks >= NEW_DATUM_SAMPLES
            and self.off_jump_m <= NOISE_M
        ):
            return True
        if _needed_pace(self.alt_m, self.at, alt_m, at, rates) > rates.pace:
            return False
        if self.off_m is None or not continues_outliers:
            return True
        is_closer = abs(alt_m - self.alt_m) <= abs(alt_m - self.off_m)
        return is_closer and self.off_looks < NEW_DATUM_SAMPLES

    def _add_outlier(self, alt_m: float, at: float, rates: Rates) -> tuple["Altimeter", str]:
        if self.alt_m is None:
            return replace(
                self, off_m=alt_m, off_at=at, off_looks=1
            ), f"altitude {alt_m:.0f} m, alone"
        continues = self.off_m is not None and (
            _needed_pace(self.off_m, self.off_at, alt_m, at, rates) <= rates.pace
        )
        pace = self.off_pace if continues else _needed_pace(self.alt_m, self.at, alt_m, at, rates)
        looks = self.off_looks + 1 if continues else 1
        away_m = abs(alt_m - self.alt_m)
        jump_m = self.off_jump_m if continues else away_m
        after = replace(
            self, off_m=alt_m, off_at=at, off_looks=looks, off_jump_m=jump_m, off_pace=pace
        )
        return after, f"altitude {alt_m:.0f} m, {away_m:.0f} m from the last one"


def _needed_pace(from_m: float, from_at: float, to_m: float, to_at: float, rates: Rates) -> float:
    """The clock pace at which the drone can climb or descend this far."""
    rate_mps = rates.climb_mps if to_m > from_m else rates.descent_mps
    return max(abs(to_m - from_m) - JITTER_M, 0.0) / (rate_mps * CLIMB_SLACK * (to_at - from_at))
