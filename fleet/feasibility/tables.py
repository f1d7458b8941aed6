"""Drones and trips as NumPy columns. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import MISSING, dataclass, fields
from enum import IntEnum
from functools import cache
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from fleet.feasibility.geometry import Floats, Ints
from fleet.feasibility.rules import PayloadType

Bools = npt.NDArray[np.bool_]
Bits = npt.NDArray[np.uint32]
Texts = npt.NDArray[np.object_]

_DTYPES: dict[Any, Any] = {Floats: float, Ints: np.int64, Bools: bool, Texts: object}

# The bit of a type is its index here.
PAYLOAD_TYPES = tuple(PayloadType.values)


def payload_bits(types: Iterable[str]) -> int:
    """The types as a bit mask. Raises ValueError for an unknown type."""
    wanted = set(types)
    if unknown := wanted.difference(PAYLOAD_TYPES):
        raise ValueError(f"no such payload type: {', '.join(sorted(unknown))}")
    return sum(1 << i for i, name in enumerate(PAYLOAD_TYPES) if name in wanted)


@cache
def payload_bit(name: str) -> int:
    """The bit of one type. Raises ValueError for an unknown one."""
    return payload_bits([name])


def payload_name(bit: int) -> str:
    """The payload type of this bit."""
    return PAYLOAD_TYPES[int(bit).bit_length() - 1]


SIDES = ("longest_cm", "middle_cm", "shortest_cm")
_NO_SIZE = dict.fromkeys(SIDES, 0.0)


# The columns of DroneTable that say in words why a drone is not fit to fly.
FITNESS = ("overdue", "defects", "unattested")


def sides(size_cm: Sequence[float] | None) -> dict[str, float]:
    """The sides of a parcel as columns of TripTable, in any order: a parcel may be turned.

    None: the size was not given, and every drone is large enough.
    """
    if not size_cm:
        return _NO_SIZE
    return dict(zip(SIDES, sorted(size_cm, reverse=True), strict=True))


def largest_sides(size_cm: Sequence[float] | None) -> dict[str, float]:
    """The largest parcel that a kind takes, as columns of DroneTable. None: any size."""
    return {f"max_{side}": cm for side, cm in sides(size_cm or (np.inf,) * 3).items()}


class Flown(IntEnum):
    """What is behind the drone of a trip: nothing; the take-off; the pickup, where it is now with
    its parcel; the drop point, where it is now, with its parcel if it has a weight.
    """

    NOTHING = 0
    TAKE_OFF = 1
    PICKUP = 2
    DROP = 3


@dataclass(frozen=True, slots=True, eq=False, weakref_slot=True)
class Table:
    """Columns of equal length. Lists become arrays; None becomes NaN in a float column."""

    def __post_init__(self) -> None:
        kind: Any = type(self)  # mypy takes the class for an object that cannot be hashed
        for name, dtype, _ in _columns(kind):
            values = np.asarray(getattr(self, name), dtype=dtype)
            if values.ndim == 0:  # one value for all rows
                values = np.full(len(self), values)
            object.__setattr__(self, name, values)
        lengths = {name: len(getattr(self, name)) for name in _names(self)}
        if len(set(lengths.values())) > 1:
            raise ValueError(f"columns of different lengths: {lengths}")
        self._check()

    def _check(self) -> None:
        """Raises ValueError for values that no row may have."""

    def __len__(self) -> int:
        return len(getattr(self, _names(self)[0]))

    @classmethod
    def from_rows(cls, rows: Iterable[Mapping[str, Any]]) -> Self:
        """rows: one mapping of column name to value per row."""
        rows, table = list(rows), object.__new__(cls)
        kind: Any = cls
        for name, dtype, default in _columns(kind):
            if default is MISSING:
                cells = [row[name] for row in rows]
            else:
                cells = [row.get(name, default) for row in rows]
            object.__setattr__(table, name, np.array(cells, dtype))
        table._check()
        return table

    def take(self, index: npt.ArrayLike) -> Self:
        """The rows at these indices, or where this mask is True."""
        rows, taken = np.asarray(index), object.__new__(type(self))
        # Rows of a valid table are valid: judging takes thousands of them, so no check here.
        for name in _names(self):
            object.__setattr__(taken, name, getattr(self, name)[rows])
        return taken


@cache
def _columns(kind: type[Any]) -> tuple[tuple[str, Any, Any], ...]:
    """The name, type and default of each column."""
    return tuple((column.name, _DTYPES[column.type], column.default) for column in fields(kind))


def _names(table: Table) -> tuple[str, ...]:
    """The names of the columns; `fields` takes five times as long."""
    return tuple(type(table).__slots__)


@dataclass(frozen=True, slots=True, eq=False)
class DroneTable(Table):
    """Drones with registry data and telemetry; NaN if unknown.

    telemetry_age_s: infinite without telemetry, negative if it is stamped in the future.
    armed: 1, 0 or NaN. home_lat, home_lng, area: the hub and the index of its area.
    payload_types: bit mask. The columns after it are the kind's physics, powers at empty mass, NaN
    for an unregistered drone. held: on hold. carrying: a parcel is aboard. hub_full: its hub
    launches no more drones now. pads_taken: its hub has a pad for it alone. These four default to
    False. max_longest_cm to max_shortest_cm: the sides of the largest parcel; infinite, the
    default, if the kind does not limit them. overdue, defects, unattested: maintenance, grounding
    defects and pre-flight checks that stand against it, in words; empty, the default, for none.
    """

    drone_id: Texts
    lat: Floats
    lng: Floats
    battery_pct: Floats
    telemetry_age_s: Floats
    armed: Floats
    registered: Bools
    active: Bools
    grounded: Bools
    busy: Bools
    home_lat: Floats
    home_lng: Floats
    area: Ints
    payload_types: Ints
    max_payload_kg: Floats
    battery_wh: Floats
    empty_mass_kg: Floats
    hover_power_w: Floats
    cruise_power_w: Floats
    cruise_speed_mps: Floats
    climb_speed_mps: Floats
    descent_speed_mps: Floats
    max_wind_mps: Floats
    held: Bools = np.False_  # type: ignore[assignment]  # becomes a column
    carrying: Bools = np.False_  # type: ignore[assignment]
    hub_full: Bools = np.False_  # type: ignore[assignment]
    pads_taken: Bools = np.False_  # type: ignore[assignment]
    max_longest_cm: Floats = np.inf  # type: ignore[assignment]
    max_middle_cm: Floats = np.inf  # type: ignore[assignment]
    max_shortest_cm: Floats = np.inf  # type: ignore[assignment]
    overdue: Texts = ""  # type: ignore[assignment]
    defects: Texts = ""  # type: ignore[assignment]
    unattested: Texts = ""  # type: ignore[assignment]

    @property
    def placed(self) -> Bools:
        """Drones whose position is known."""
        return np.isfinite(self.lat) & np.isfinite(self.lng)


@dataclass(frozen=True, slots=True, eq=False)
class TripTable(Table):
    """Pickup, drop point and payload of trips. payload_type: one bit. area: index of its area.
    longest_cm, middle_cm, shortest_cm: the sides of the parcel, 0 (the default) if not known.
    landing_lat, landing_lng: the hub that receives the drone; NaN, the default: its home. A drone
    with `pads_taken` may land at its home as well.
    flown: what is behind the drone, a `Flown`; nothing by default.

    Raises ValueError if a coordinate, a weight or a type is missing.
    """

    pickup_lat: Floats
    pickup_lng: Floats
    dropoff_lat: Floats
    dropoff_lng: Floats
    payload_weight_kg: Floats
    payload_type: Ints
    area: Ints
    longest_cm: Floats = 0.0  # type: ignore[assignment]  # becomes a column
    middle_cm: Floats = 0.0  # type: ignore[assignment]
    shortest_cm: Floats = 0.0  # type: ignore[assignment]
    landing_lat: Floats = np.nan  # type: ignore[assignment]
    landing_lng: Floats = np.nan  # type: ignore[assignment]
    flown: Ints = 0  # type: ignore[assignment]

    def _check(self) -> None:
        places = [self.pickup_lat, self.pickup_lng, self.dropoff_lat, self.dropoff_lng]
        if not np.isfinite(places).all():
            raise ValueError("a trip has no coordinates for its pickup or its drop point")
        if not ((self.payload_weight_kg > 0).all() and (self.payload_type > 0).all()):
            raise ValueError("a trip has no payload weight above 0 kg or no payload type")
