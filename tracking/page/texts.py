"""The texts for customers, in Django's active language.

Every sentence of the page and of the public API is here or in a template.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

from django.conf import settings
from django.http import HttpRequest
from django.utils import dateformat, translation
from django.utils.formats import number_format
from django.utils.functional import Promise
from django.utils.translation import gettext, ngettext
from django.utils.translation import gettext_lazy as _

from orders.states import CancelReason, EventType, Holder, PodRequirement, WhyHeldUp
from pod.models import Case
from wingxtra.problems import Invalid, Problem

Text = str | Promise
LANGUAGES = dict(settings.LANGUAGES)


def language_of(request: HttpRequest) -> str:
    """The language of `?lang=`, else the browser's preferred one of LANGUAGES."""
    chosen = request.GET.get("lang", "")
    return chosen if chosen in LANGUAGES else translation.get_language_from_request(request)


class Stage(StrEnum):
    """How far the delivery is, as the customer sees it. The value is a CSS class of the page."""

    RECEIVED = "received"
    SCHEDULED = "scheduled"
    WAITING = "waiting"
    ANOTHER = "another"
    PREPARING = "preparing"
    TAKEN_OFF = "taken_off"
    ON_ITS_WAY = "on_its_way"
    HERE = "here"
    COMING_DOWN = "coming_down"
    HANDED_OVER = "handed_over"
    DELIVERED = "delivered"
    CANCELED = "canceled"
    FAILED = "failed"
    OVER = "over"
    CHECKING = "checking"
    LOOKING = "looking"
    AT_HUB = "at_hub"
    CLOSED = "closed"


@dataclass(frozen=True, slots=True)
class Situation:
    """The stage, and everything else that headline and advice depend on.

    reason: why it was canceled (a CancelReason), why it waits (a WhyHeldUp or IN_LINE), why ETA and
    position are missing ("silence"), or the proof that is missing (a PodRequirement). holder: who
    has the parcel, if that changes the advice.
    """

    stage: Stage
    delayed: bool = False
    reason: str = ""
    holder: str = ""
    not_before: datetime | None = None


@dataclass(frozen=True, slots=True)
class Headline:
    """“On its way, about 4 minutes”: the text, a time after it, and the time left (`about`)."""

    text: str
    at: datetime | None = None
    about: str = ""

    def __str__(self) -> str:
        text = f"{self.text} {clock(self.at)}" if self.at else self.text
        return f"{text}, {self.about}" if self.about else text


# Labels of events in the timeline. `public._label` handles those that depend on the payload.
LABELS: dict[EventType, Text] = {
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
    EventType.DELAY_PREDICTED: _("We expect it later than promised"),
    EventType.DROPOFF_CHANGED: _("Drop point moved"),
    EventType.PARCEL_READY: _("Your parcel is ready"),
    EventType.PARCEL_LOADED: _("Picked up"),
    EventType.PARCEL_UNLOADED: _("Your parcel is back at our hub"),
    EventType.PARCEL_UNKNOWN: _("We are looking for your parcel"),
    EventType.PARCEL_FOUND: _("Your parcel is with the sender"),
    EventType.PARCEL_RETURNED: _("Your parcel is back with the sender"),
    EventType.PARCEL_LOST: _("Your parcel is lost"),
    EventType.CORRECTED: _("We were wrong: it was not delivered"),
    EventType.PROOF_AWAITED: _("Handed over by the drone"),
    EventType.PROOF_RECORDED: _("Receipt confirmed"),
    EventType.CASE_OPENED: _("You told us about a problem"),
    EventType.CASE_CLOSED: _("Your problem was answered"),
    EventType.CANCELED: _("Canceled"),
    EventType.FAILED: _("Could not be delivered"),
    EventType.ABORTED: _("Could not be delivered"),
}
HELD = _("We are checking what happened")
DELIVERED_AFTER_ALL = _("Delivered after all")
# In place of “Delivered” while the proof is missing.
HANDED_OVER = _("Handed over by the drone")
# Labels of `custody`.
HOLDERS: dict[Holder, Text] = {
    Holder.SENDER: _("With the sender"),
    Holder.DRONE: _("Picked up"),
    Holder.HUB: _("Your parcel is back at our hub"),
    Holder.RECIPIENT: _("Delivered"),
    Holder.RETURNED: _("Your parcel is back with the sender"),
    Holder.LOST: _("Your parcel is lost"),
    Holder.UNKNOWN: _("We are looking for your parcel"),
}
HEADLINES: dict[Stage, Text] = {
    Stage.RECEIVED: _("We have your order"),
    Stage.SCHEDULED: _("Scheduled for"),
    Stage.WAITING: _("Waiting for a drone"),
    Stage.ANOTHER: _("We are sending another drone"),
    Stage.PREPARING: _("Your drone is getting ready"),
    Stage.TAKEN_OFF: _("Your drone has taken off"),
    Stage.ON_ITS_WAY: _("On its way"),
    Stage.HERE: _("Your drone is here"),
    Stage.COMING_DOWN: _("Your parcel is coming down"),
    Stage.HANDED_OVER: _("The drone has handed over your parcel"),
    Stage.DELIVERED: _("Delivered"),
    Stage.CANCELED: _("Canceled"),
    Stage.FAILED: _("We could not deliver this order"),
    Stage.OVER: _("This delivery is over"),
    Stage.CHECKING: _("We are checking your delivery"),
    Stage.LOOKING: _("We are looking for your parcel"),
    Stage.AT_HUB: _("Your parcel is back at our hub"),
    Stage.CLOSED: _("Closed now, it goes on from"),
}
# One or two sentences under the headline: what it means, or what to do.
ADVICE: dict[Stage, Text] = {
    Stage.RECEIVED: _("We are checking it now."),
    Stage.SCHEDULED: _("We will get a drone ready when it is time."),
    Stage.WAITING: _("The next drone that fits is yours."),
    Stage.ANOTHER: _("The first one could not make it. Your parcel is not forgotten."),
    Stage.PREPARING: _("It is being loaded and checked."),
    Stage.TAKEN_OFF: _("It picks up your parcel and comes straight to you."),
    Stage.ON_ITS_WAY: _("Please keep an open spot at the drop point."),
    Stage.HERE: _("Please stand back until the parcel is on the ground."),
    Stage.COMING_DOWN: _("Please stand back until the parcel is on the ground."),
    Stage.HANDED_OVER: _("We still confirm its receipt. There is nothing for you to do."),
    Stage.DELIVERED: _("Thank you. Your parcel was delivered."),
    Stage.CANCELED: _("No drone is coming. The sender can tell you more."),
    Stage.FAILED: _("The sender knows and will contact you."),
    Stage.OVER: _("It was a while ago, so nothing more is shown here."),
    Stage.CHECKING: _("Something is not clear, and our staff are asking. We tell you here."),
    Stage.LOOKING: _("Our staff are asking where it is. We tell you here."),
    Stage.AT_HUB: _("The next drone that fits flies it from there."),
    Stage.CLOSED: _("Your order is kept. A drone gets ready as soon as it opens."),
}
# Replaces ADVICE where the parcel's place says more than the stage.
ADVICE_BY_HOLDER: dict[tuple[Stage, str], Text] = {
    (Stage.TAKEN_OFF, Holder.DRONE): _("Your parcel is picked up and comes to you."),
    (Stage.ON_ITS_WAY, Holder.SENDER): _("The drone picks up your parcel first."),
    (Stage.ON_ITS_WAY, Holder.HUB): _("The drone picks up your parcel first."),
    (Stage.FAILED, Holder.DRONE): _("The drone still has your parcel. Our staff see to it."),
    (Stage.FAILED, Holder.HUB): _("Your parcel is back at our hub. The sender knows."),
    (Stage.FAILED, Holder.UNKNOWN): _("We are looking for your parcel. The sender knows."),
    (Stage.FAILED, Holder.RETURNED): _("Your parcel is back with the sender."),
    (Stage.FAILED, Holder.LOST): _("Your parcel is lost. We are sorry. The sender knows."),
}
CANCELED_BECAUSE: dict[str, Text] = {
    CancelReason.CUSTOMER_REQUEST: _("Canceled as you asked"),
    CancelReason.MERCHANT_REQUEST: _("Canceled by the sender"),
    CancelReason.WEATHER: _("Canceled because of the weather"),
    CancelReason.NO_DRONE: _("Canceled because no drone was free"),
    CancelReason.SAFETY: _("Canceled for safety"),
    CancelReason.ADDRESS_PROBLEM: _("Canceled because of a problem with the address"),
}
# The reason of an order that waits behind others.
IN_LINE = "in_line"
ADVICE_BY_REASON: dict[str, Text] = {
    WhyHeldUp.PAUSED: _("Flights are paused for the moment. Yours goes on as soon as they do."),
    WhyHeldUp.TOO_WINDY: _("It is too windy to fly. Yours starts as soon as it may."),
    WhyHeldUp.WEATHER_UNKNOWN: _(
        "We cannot read the weather at the moment. Yours starts as soon as we can."
    ),
    WhyHeldUp.NO_DRONE: _("No drone can fly it at the moment. We tell you here when that changes."),
    WhyHeldUp.CLOSED: _("Your order is kept. A drone gets ready as soon as it opens."),
    IN_LINE: _("It is your turn once the orders before yours have their drones."),
    "silence": _(
        "We have not heard from the drone for a moment. It knows its way, and we tell you as soon "
        "as we hear from it again."
    ),
}
# The customer can give these proofs after the hand-over, too.
ADVICE_BY_PROOF: dict[str, Text] = {
    PodRequirement.OTP: _("Please confirm with your code that you have it."),
    PodRequirement.SIGNATURE: _("Please confirm with your signature that you have it."),
}
NEEDS: dict[str, Text] = {
    PodRequirement.OTP: _("Have your six-digit code ready."),
    PodRequirement.SIGNATURE: _("You will be asked to sign."),
    PodRequirement.PHOTO: _("We take a photo of it at the drop point."),
    PodRequirement.OPERATOR_CONFIRM: _("Our staff confirms that it arrived."),
}
RECEIVED_WITH: dict[str, Text] = {
    PodRequirement.OTP: _("The code"),
    PodRequirement.SIGNATURE: _("A signature"),
    PodRequirement.PHOTO: _("A photo"),
    PodRequirement.OPERATOR_CONFIRM: _("Our staff’s word"),
}
CASES: dict[str, Text] = {
    Case.Kind.NOT_HERE: _("It is not here"),
    Case.Kind.DAMAGED: _("It is damaged"),
}
CASE_IS_OPEN = _("Our staff are looking into it. You told us on")
CASE_OUTCOMES: dict[str, Text] = {
    Case.Outcome.FOUND: _("It was found. We answered on"),
    Case.Outcome.REFUNDED: _("The sender refunds it. We answered on"),
    Case.Outcome.REPLACED: _("The sender sends another one. We answered on"),
    Case.Outcome.NOT_CONFIRMED: _("We could not confirm it. We answered on"),
}
THANKS: dict[str, Text] = {
    "otp": _("The code is right. Thank you."),
    "signature": _("Thank you for signing."),
    "confirm": _("Thank you for telling us."),
    "case": _(
        "Thank you for telling us. Our staff look into it, and you read here what they find."
    ),
    "dropoff": _("The drop point was moved. We deliver there."),
    "instructions": _("Thank you. We noted your instructions."),
    "dropoff-same": _("The drop point is there already. Nothing was changed."),
}
TOO_LARGE = _(
    "This photo is too large: you sent %(size_mb)s MB, and at most %(max_mb)s MB are possible. "
    "Take it with fewer pixels, or tell us without a photo."
)
# Refusals on the page by the problem's code. `radius_m` and the problem's `extra` are filled in.
REFUSALS: dict[str, Text] = {
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
    "moved_too_often": _(
        "The drop point was moved as often as is possible. Please ask for help below."
    ),
    "throttled": _("That was very often in a short time. Please try again in %(seconds)s seconds."),
    "invalid_transition": _("It is too late to move the drop point: a drone is on it."),
    "too_late_to_instruct": _("It is too late for instructions: the drone is on its way."),
    "changed_too_often": _(
        "The instructions were changed as often as is possible. Please ask for help below."
    ),
    "instructions": _("Please use at most 300 characters."),
    "not_delivered": _("This delivery is not over yet."),
    "case_open": _("You told us already, and our staff are looking into it."),
    "too_late_for_a_case": _("It is too late to tell us here. Please ask for help below."),
    "too_many_cases": _("You told us often enough. Please ask for help below."),
    "kind": _("Please choose what is wrong."),
    "text": _("Please use at most 500 letters."),
    "file_too_large": TOO_LARGE,
    "form_too_large": TOO_LARGE,
    "image_too_large": _("This photo has too many pixels. Please send a smaller one."),
    "photo": _("This photo cannot be read. Please send a JPEG, PNG or WebP picture."),
    "lat": _("These coordinates cannot be read."),
    "lng": _("These coordinates cannot be read."),
    "form_not_ours": _("This page was too old. Please try again."),
}


def headline(situation: Situation, eta_s: int | None) -> Headline:
    """`eta_s`: whole seconds until the parcel is at the door, or None if that is not known."""
    text = str(HEADLINES[situation.stage])
    if situation.stage == Stage.CANCELED:
        # Reasons without a text here are for merchants and staff only.
        text = str(CANCELED_BECAUSE.get(situation.reason, text))
    if situation.delayed:
        text = gettext("Delayed: %(words)s") % {"words": text[0].lower() + text[1:]}
    at = situation.not_before if situation.stage in (Stage.SCHEDULED, Stage.CLOSED) else None
    return Headline(text, at, "" if eta_s is None else in_minutes(eta_s))


def advice(situation: Situation) -> str:
    by_holder = ADVICE_BY_HOLDER.get((situation.stage, situation.holder))
    if situation.stage == Stage.HANDED_OVER:
        return str(ADVICE_BY_PROOF.get(situation.reason) or ADVICE[situation.stage])
    return str(ADVICE_BY_REASON.get(situation.reason) or by_holder or ADVICE[situation.stage])


def in_minutes(seconds: float) -> str:
    minutes = math.ceil(seconds / 60)
    if minutes < 1:
        return gettext("any moment now")
    return ngettext("about a minute", "about %(minutes)s minutes", minutes) % {"minutes": minutes}


def clock(at: datetime) -> str:
    """Date and time in UTC. The page's script converts it to the phone's time zone."""
    # Translators: Django's date format of “Wednesday, 04 March, 14:00”.
    return f"{dateformat.format(at.astimezone(UTC), gettext('l, d F, H:i'))} UTC"


def distance(metres: float) -> str:
    """A rounded distance: “350 m”, “1.2 km”."""
    if metres < 950:
        return f"{max(50, round(metres / 50) * 50)} m"
    return f"{number_format(round(metres / 1000, 1), 1)} km"


def refusal(problem: Problem, values: Mapping[str, Any]) -> str:
    """Why a form was refused and what to do. `values` are filled in."""
    if problem.code == "wrong_code":
        left = int(problem.extra["tries_left"])
        if left == 0:
            return str(REFUSALS["code_locked"])
        return ngettext(
            "This code is not right. One try is left.",
            "This code is not right. %(left)s tries are left.",
            left,
        ) % {"left": left}
    keys = [problem.code]
    if isinstance(problem, Invalid):
        keys = [key for error in problem.errors for key in (error.code, error.field)]
    for key in keys:
        if key in REFUSALS:
            return str(REFUSALS[key]) % values
    return gettext("This did not work. Please try again, or ask for help below.")
