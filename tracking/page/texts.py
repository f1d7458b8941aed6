"""What we say to customers, in their language: the one that Django has active.

Every sentence of the page and of the public API is here or in a template, and nowhere else.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

from django.utils import dateformat
from django.utils.formats import number_format
from django.utils.functional import Promise
from django.utils.translation import gettext, ngettext
from django.utils.translation import gettext_lazy as _

from orders.states import CancelReason, EventType, Holder, PodRequirement
from wingxtra.problems import Invalid, Problem

Words = str | Promise


class Look(StrEnum):
    """What a delivery's state means to the customer; each has a face of its own on the page."""

    RECEIVED = "received"
    SCHEDULED = "scheduled"
    WAITING = "waiting"
    ANOTHER = "another"
    PREPARING = "preparing"
    TAKEN_OFF = "taken_off"
    ON_ITS_WAY = "on_its_way"
    HERE = "here"
    COMING_DOWN = "coming_down"
    DELIVERED = "delivered"
    CANCELED = "canceled"
    FAILED = "failed"
    OVER = "over"
    CHECKING = "checking"
    LOOKING = "looking"
    AT_HUB = "at_hub"


@dataclass(frozen=True, slots=True)
class Face:
    """A look, and what else decides on the words.

    because: why it was canceled (a CancelReason), why it waits ("paused"), or why nothing is known
    of the flight just now ("silence"). holder: who has the parcel, where that changes the advice.
    """

    look: Look
    delayed: bool = False
    because: str = ""
    holder: str = ""
    not_before: datetime | None = None


@dataclass(frozen=True, slots=True)
class Headline:
    """“On its way, about 4 minutes”: the words, the moment that ends them, and how long."""

    words: str
    at: datetime | None = None
    about: str = ""

    def __str__(self) -> str:
        words = f"{self.words} {clock(self.at)}" if self.at else self.words
        return f"{words}, {self.about}" if self.about else words


# Of an event; `label_of` knows those that depend on what the event says.
LABELS: dict[EventType, Words] = {
    EventType.CREATED: _("Order received"),
    EventType.QUEUED: _("Waiting for a drone"),
    EventType.ASSIGNED: _("Drone getting ready"),
    EventType.LAUNCHED: _("Taken off"),
    EventType.ENROUTE: _("On its way"),
    EventType.ARRIVED: _("At the drop point"),
    EventType.DELIVERING: _("Coming down"),
    EventType.DELIVERED: _("Delivered"),
    EventType.REQUEUED: _("We are sending another drone"),
    EventType.RESCHEDULED: _("A new time was agreed"),
    EventType.DROPOFF_CHANGED: _("Drop point moved"),
    EventType.PARCEL_READY: _("Your parcel is ready"),
    EventType.PARCEL_LOADED: _("Picked up"),
    EventType.PARCEL_UNLOADED: _("Your parcel is back at our hub"),
    EventType.PARCEL_UNKNOWN: _("We are looking for your parcel"),
    EventType.PARCEL_FOUND: _("Your parcel is with the sender"),
    EventType.PARCEL_RETURNED: _("Your parcel is back with the sender"),
    EventType.PARCEL_LOST: _("Your parcel is lost"),
    EventType.CORRECTED: _("We were wrong: it was not delivered"),
    EventType.PROOF_RECORDED: _("Receipt confirmed"),
    EventType.CANCELED: _("Canceled"),
    EventType.FAILED: _("Could not be delivered"),
    EventType.ABORTED: _("Could not be delivered"),
}
HELD = _("We are checking what happened")
DELIVERED_AFTER_ALL = _("Delivered after all")
# Who has the parcel, as the view tells it.
HOLDERS: dict[Holder, Words] = {
    Holder.SENDER: _("With the sender"),
    Holder.DRONE: _("Picked up"),
    Holder.HUB: _("Your parcel is back at our hub"),
    Holder.RECIPIENT: _("Delivered"),
    Holder.RETURNED: _("Your parcel is back with the sender"),
    Holder.LOST: _("Your parcel is lost"),
    Holder.UNKNOWN: _("We are looking for your parcel"),
}
PLAIN: dict[Look, Words] = {
    Look.RECEIVED: _("We have your order"),
    Look.SCHEDULED: _("Scheduled for"),
    Look.WAITING: _("Waiting for a drone"),
    Look.ANOTHER: _("We are sending another drone"),
    Look.PREPARING: _("Your drone is getting ready"),
    Look.TAKEN_OFF: _("Your drone has taken off"),
    Look.ON_ITS_WAY: _("On its way"),
    Look.HERE: _("Your drone is here"),
    Look.COMING_DOWN: _("Your parcel is coming down"),
    Look.DELIVERED: _("Delivered"),
    Look.CANCELED: _("Canceled"),
    Look.FAILED: _("We could not deliver this order"),
    Look.OVER: _("This delivery is over"),
    Look.CHECKING: _("We are checking your delivery"),
    Look.LOOKING: _("We are looking for your parcel"),
    Look.AT_HUB: _("Your parcel is back at our hub"),
}
# What to do, or what it means, in a sentence or two under the headline.
ADVICE: dict[Look, Words] = {
    Look.RECEIVED: _("We are checking it now."),
    Look.SCHEDULED: _("We will get a drone ready when it is time."),
    Look.WAITING: _("The next drone that fits is yours."),
    Look.ANOTHER: _("The first one could not make it. Your parcel is not forgotten."),
    Look.PREPARING: _("It is being loaded and checked."),
    Look.TAKEN_OFF: _("It picks up your parcel and comes straight to you."),
    Look.ON_ITS_WAY: _("Please keep an open spot at the drop point."),
    Look.HERE: _("Please stand back until the parcel is on the ground."),
    Look.COMING_DOWN: _("Please stand back until the parcel is on the ground."),
    Look.DELIVERED: _("Thank you. Enjoy what is inside."),
    Look.CANCELED: _("No drone is coming. The sender can tell you more."),
    Look.FAILED: _("The sender knows and will contact you."),
    Look.OVER: _("It was a while ago, so nothing more is shown here."),
    Look.CHECKING: _("Something is not clear, and our staff are asking. We tell you here."),
    Look.LOOKING: _("Our staff are asking where it is. We tell you here."),
    Look.AT_HUB: _("The next drone that fits flies it from there."),
}
# Where the parcel is says more than the look does.
ADVICE_BY_HOLDER: dict[tuple[Look, str], Words] = {
    (Look.TAKEN_OFF, Holder.DRONE): _("Your parcel is picked up and comes to you."),
    (Look.ON_ITS_WAY, Holder.SENDER): _("The drone picks up your parcel first."),
    (Look.ON_ITS_WAY, Holder.HUB): _("The drone picks up your parcel first."),
    (Look.FAILED, Holder.DRONE): _("The drone still has your parcel. Our staff see to it."),
    (Look.FAILED, Holder.HUB): _("Your parcel is back at our hub. The sender knows."),
    (Look.FAILED, Holder.UNKNOWN): _("We are looking for your parcel. The sender knows."),
    (Look.FAILED, Holder.RETURNED): _("Your parcel is back with the sender."),
    (Look.FAILED, Holder.LOST): _("Your parcel is lost. We are sorry. The sender knows."),
}
CANCELED_BECAUSE: dict[str, Words] = {
    CancelReason.CUSTOMER_REQUEST: _("Canceled as you asked"),
    CancelReason.MERCHANT_REQUEST: _("Canceled by the sender"),
    CancelReason.WEATHER: _("Canceled because of the weather"),
    CancelReason.NO_DRONE: _("Canceled because no drone was free"),
    CancelReason.SAFETY: _("Canceled for safety"),
    CancelReason.ADDRESS_PROBLEM: _("Canceled because of a problem with the address"),
}
OTHER_ADVICE: dict[str, Words] = {
    "paused": _("Flights are paused for the moment. Yours goes on as soon as they do."),
    "silence": _(
        "We have not heard from the drone for a moment. It knows its way, and we tell you as soon "
        "as we hear from it again."
    ),
}
NEEDS: dict[str, Words] = {
    PodRequirement.OTP: _("Have your six-digit code ready."),
    PodRequirement.SIGNATURE: _("You will be asked to sign."),
    PodRequirement.PHOTO: _("We take a photo of it at the drop point."),
    PodRequirement.OPERATOR_CONFIRM: _("Our staff confirms that it arrived."),
}
RECEIVED_WITH: dict[str, Words] = {
    PodRequirement.OTP: _("The code"),
    PodRequirement.SIGNATURE: _("A signature"),
    PodRequirement.PHOTO: _("A photo"),
    PodRequirement.OPERATOR_CONFIRM: _("Our staff’s word"),
}
THANKS: dict[str, Words] = {
    "otp": _("The code is right. Thank you."),
    "signature": _("Thank you for signing."),
    "confirm": _("Thank you for telling us."),
    "dropoff": _("The drop point was moved. We deliver there."),
    "dropoff-same": _("The drop point is there already. Nothing was changed."),
}
# What we refuse on the page, by the problem's code. `radius_m` and what the problem says along are
# filled in.
REFUSALS: dict[str, Words] = {
    "code_locked": _("The code was wrong five times and is locked. Please ask for help below."),
    "no_code": _("There is no code for this delivery. Please ask for help below."),
    "otp_code": _("The code has six digits."),
    "not_at_the_drop_point": _("The drone is not at the drop point yet. Please wait for it."),
    "proof_exists": _("This delivery was received already."),
    "nothing_drawn": _("Nothing was drawn. Please sign with your finger."),
    "signature": _("This signature cannot be read. Please sign again."),
    "dropoff_too_far": _(
        "That is too far from the address that was given: at most %(radius_m)s m. The sender can "
        "change the address."
    ),
    "dropoff_too_inaccurate": _(
        "Your phone does not know well enough where it is. Step into the open, away from walls, "
        "and try again."
    ),
    "dropoff_too_old": _("That position is too old. Please try again."),
    "outside_service_area": _("We do not deliver there. Please choose another place."),
    "in_no_fly_zone": _("Drones may not fly there. Please choose another place."),
    "out_of_range": _("No drone of ours can fly there. Please choose another place."),
    "invalid_transition": _("It is too late to move the drop point: a drone is on it."),
    "lat": _("These coordinates cannot be read."),
    "lng": _("These coordinates cannot be read."),
    "form_not_ours": _("This page was too old. Please try again."),
}


def headline(face: Face, eta_s: int | None) -> Headline:
    """`eta_s`: whole seconds until the parcel is at the door, or None when nobody can say."""
    words = str(PLAIN[face.look])
    if face.look == Look.CANCELED:
        # Reasons without public words are nobody's business but ours and the merchant's.
        words = str(CANCELED_BECAUSE.get(face.because, words))
    if face.delayed:
        words = gettext("Delayed: %(words)s") % {"words": words[0].lower() + words[1:]}
    at = face.not_before if face.look == Look.SCHEDULED else None
    return Headline(words, at, "" if eta_s is None else in_minutes(eta_s))


def advice(face: Face) -> str:
    by_holder = ADVICE_BY_HOLDER.get((face.look, face.holder))
    return str(OTHER_ADVICE.get(face.because) or by_holder or ADVICE[face.look])


def in_minutes(seconds: float) -> str:
    minutes = math.ceil(seconds / 60)
    if minutes < 1:
        return gettext("any moment now")
    return ngettext("about a minute", "about %(minutes)s minutes", minutes) % {"minutes": minutes}


def clock(at: datetime) -> str:
    """A moment on another day, for those whose time zone we do not know."""
    # Translators: Django's date format of “Wednesday, 04 March, 14:00”.
    return f"{dateformat.format(at.astimezone(UTC), gettext('l, d F, H:i'))} UTC"


def distance(metres: float) -> str:
    """About how far, as people say it: “350 m”, “1.2 km”."""
    if metres < 950:
        return f"{max(50, round(metres / 50) * 50)} m"
    return f"{number_format(metres / 1000, 1)} km"


def refusal(problem: Problem, known: Mapping[str, Any]) -> str:
    """Why something was refused, and what to do about it. `known`: figures for the words."""
    if problem.code == "wrong_code":
        left = int(problem.extra["tries_left"])
        if left == 0:
            return str(REFUSALS["code_locked"])
        return ngettext(
            "This code is not right. One try is left.",
            "This code is not right. %(left)s tries are left.",
            left,
        ) % {"left": left}
    found = [problem.code]
    if isinstance(problem, Invalid):
        found = [name for error in problem.errors for name in (error.code, error.field)]
    for name in found:
        if name in REFUSALS:
            return str(REFUSALS[name]) % known
    return gettext("This did not work. Please try again, or ask for help below.")
