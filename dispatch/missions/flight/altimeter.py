"""Which altitudes of one drone to believe. Pure.

Senders measure from the ground, the sea or an ellipsoid, change that in flight, freeze, or send
another quantity instead. So only changes are judged: a value counts when the drone can have climbed
or descended to it since the last one that counted.

| limit | value | reason |
|---|---|---|
| JITTER_M | 5 | a barometer in gusts, twice its usual error |
| NOISE_M | 10 | so small a jump is noise once what follows agrees |
| CLIMB_SLACK | 1.5 | a drone climbs and descends faster than its kind's usual rate |
| SAME_M | 15 | drift of a GPS altitude on the ground within a minute |
| FROZEN_S, FROZEN_LOOKS | 5, 3 | no sensor repeats a value for so long in flight |
| ESTABLISHED | 3 | a pair of bad values is common, three that agree are another datum |
"""

from dataclasses import dataclass, replace
from statistics import median

JITTER_M = 5.0
NOISE_M = 10.0
CLIMB_SLACK = 1.5
SAME_M = 15.0
GROUND_LOOKS = 5
FROZEN_S = 5.0
FROZEN_LOOKS = 3
ESTABLISHED = 3


@dataclass(frozen=True, slots=True)
class Rates:
    """How fast the drone changes its height, and its clock against ours. armed: it may."""

    climb_mps: float
    descent_mps: float
    pace: float
    armed: bool


@dataclass(frozen=True, slots=True)
class Altimeter:
    """What is remembered of a drone's altitudes. Times are POSIX seconds."""

    ground: tuple[float, ...] = ()  # where it stood last, newest at the end
    alt_m: float | None = None  # the last one believed
    at: float = 0.0
    off_m: float | None = None  # the last one not believed, of a run that agrees with itself
    off_at: float = 0.0
    off_looks: int = 0
    off_jump_m: float = 0.0  # from the last one believed to the first of that run
    off_pace: float = 0.0  # how fast the clock must run for the jump to that run to be a climb
    said_m: float | None = None  # the last one of all, and since when it is the same
    said_since: float = 0.0
    said_looks: int = 0
    broken: str = ""  # why no altitude of this flight is believed

    @property
    def ground_m(self) -> float | None:
        """The altitude of the ground where it stood; None unless most looks agree on it."""
        if not self.ground:
            return None
        middle = median(self.ground)
        agreeing = sum(abs(alt_m - middle) <= SAME_M for alt_m in self.ground)
        return middle if 2 * agreeing > len(self.ground) else None

    def stood(self, alt_m: float, at: float) -> "Altimeter":
        """After a look at the drone on the ground, where the datum may change as it likes."""
        after = replace(self, ground=(*self.ground, alt_m)[-GROUND_LOOKS:], broken="")
        return replace(after, alt_m=after.ground_m, at=at, off_m=None, off_looks=0, said_m=None)

    def judged(self, alt_m: float, at: float, rates: Rates) -> tuple["Altimeter", str]:
        """After a look at the drone in flight, and why this altitude is not believed ("" if it is).

        What comes after a frozen value needs a second one that agrees.
        """
        if self.ground and self.ground_m is None and not self.broken:
            ground = ", ".join(f"{alt_m:.0f}" for alt_m in self.ground)
            broken = f"altitudes {ground} m on the ground"
            return replace(self, broken=broken), broken
        after = self._repeated(alt_m, at)
        if self.broken:
            return after, self.broken
        was_frozen, is_frozen = self._is_frozen(at, rates), after._is_frozen(at, rates)
        if is_frozen:
            return after, f"altitude {alt_m:.0f} m, frozen for {at - after.said_since:.0f} s"
        if not was_frozen and after._follows(alt_m, at, rates):
            return replace(after, alt_m=alt_m, at=at, off_m=None, off_looks=0), ""
        return after._off(alt_m, at, rates)

    def _is_frozen(self, at: float, rates: Rates) -> bool:
        is_old = (at - self.said_since) * rates.pace >= FROZEN_S
        return self.said_looks >= FROZEN_LOOKS and is_old and rates.armed

    def _repeated(self, alt_m: float, at: float) -> "Altimeter":
        if alt_m == self.said_m:
            return replace(self, said_looks=self.said_looks + 1)
        return replace(self, said_m=alt_m, said_since=at, said_looks=1)

    def _follows(self, alt_m: float, at: float, rates: Rates) -> bool:
        """Whether it goes on from the last one believed, and not from those that were not."""
        goes_on_off = self.off_m is not None and (
            _pace(self.off_m, self.off_at, alt_m, at, rates) <= rates.pace
        )
        if self.alt_m is None:  # nothing to compare with: two that agree
            return goes_on_off
        if goes_on_off and self.off_pace <= rates.pace:
            return True  # the clock runs faster than was known: it was a climb
        if goes_on_off and self.off_looks >= ESTABLISHED and self.off_jump_m <= NOISE_M:
            return True
        if _pace(self.alt_m, self.at, alt_m, at, rates) > rates.pace:
            return False
        if self.off_m is None or not goes_on_off:
            return True
        is_closer = abs(alt_m - self.alt_m) <= abs(alt_m - self.off_m)
        return is_closer and self.off_looks < ESTABLISHED

    def _off(self, alt_m: float, at: float, rates: Rates) -> tuple["Altimeter", str]:
        if self.alt_m is None:
            return replace(
                self, off_m=alt_m, off_at=at, off_looks=1
            ), f"altitude {alt_m:.0f} m, alone"
        goes_on = self.off_m is not None and (
            _pace(self.off_m, self.off_at, alt_m, at, rates) <= rates.pace
        )
        pace = self.off_pace if goes_on else _pace(self.alt_m, self.at, alt_m, at, rates)
        looks = self.off_looks + 1 if goes_on else 1
        away_m = abs(alt_m - self.alt_m)
        jump_m = self.off_jump_m if goes_on else away_m
        after = replace(
            self, off_m=alt_m, off_at=at, off_looks=looks, off_jump_m=jump_m, off_pace=pace
        )
        return after, f"altitude {alt_m:.0f} m, {away_m:.0f} m from the last one"


def _pace(from_m: float, from_at: float, to_m: float, to_at: float, rates: Rates) -> float:
    """How fast the clock must run for the drone to have climbed or descended so far."""
    rate_mps = rates.climb_mps if to_m > from_m else rates.descent_mps
    return max(abs(to_m - from_m) - JITTER_M, 0.0) / (rate_mps * CLIMB_SLACK * (to_at - from_at))
