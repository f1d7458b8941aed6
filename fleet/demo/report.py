"""The demo's output: a line per important event, and a table at the end."""

from datetime import datetime
from typing import Any

from fleet.demo.people import Story

EVENT_LABELS = {
    "ASSIGNED": "assigned ",
    "REASSIGNED": "assigned ",
    "LAUNCHED": "launched ",
    "ARRIVED": "arrived  ",
    "DELIVERED": "delivered",
    "REQUEUED": "requeued ",
    "CANCELED": "canceled ",
    "FAILED": "failed   ",
    "ABORTED": "aborted  ",
    "LINK_LOST": "link lost",
}


def placed(story: Story) -> str:
    order = story.order
    return (
        f"{_clock()} placed     {_name(story)}  {order['priority']}, "
        f"{order['payload_weight_kg']} kg, by {story.shop}   {order['tracking_url']}"
    )


def skipped(why: str) -> str:
    return f"{_clock()} skipped    {why}"


def line(story: Story, event: dict[str, Any]) -> str | None:
    """One line, or None for an event type without label."""
    label = EVENT_LABELS.get(event["type"])
    if label is None:
        return None
    text = event["message"]
    if event["type"] == "DELIVERED":
        seconds = _between(story, "CREATED", "DELIVERED")
        text = f"{story.drone_id()}, {seconds:.0f} s after it was placed"
    return f"{_clock()} {label}  {_name(story)}  {text}"


def table(stories: list[Story], speed: float) -> str:
    """Seconds are real time, but ETAs are on the flights' clock, `speed` times faster."""
    head = (
        f"{'order':13}  {'priority':8}  {'drone':12}  {'queued':>6}  {'to take-off':>11}  "
        f"{'to the door':>11}  {'handover':>8}  {'ETA promised':>12}  {'ETA real':>8}  {'proof':16}"
    )
    return "\n".join(["", head, "-" * len(head), *[_row(story, speed) for story in stories]])


def _row(story: Story, speed: float) -> str:
    return (
        f"{_name(story):13}  {story.order['priority']:8}  {story.drone_id() or '-':12}  "
        f"{_cell(_between(story, 'CREATED', 'ASSIGNED')):>6}  "
        f"{_cell(_between(story, 'ASSIGNED', 'LAUNCHED')):>11}  "
        f"{_cell(_between(story, 'LAUNCHED', 'ARRIVED')):>11}  "
        f"{_cell(_between(story, 'ARRIVED', 'DELIVERED')):>8}  "
        f"{_cell(_promised_s(story)):>12}  {_cell(_real_s(story, speed)):>8}  "
        f"{story.proof or story.status:16}"
    )


def _promised_s(story: Story) -> float | None:
    assigned, promised = story.at("ASSIGNED"), story.promised_at()
    return (promised - assigned).total_seconds() if assigned and promised else None


def _real_s(story: Story, speed: float) -> float | None:
    seconds = _between(story, "ASSIGNED", "DELIVERED")
    return None if seconds is None else seconds * speed


def _between(story: Story, first: str, then: str) -> float | None:
    start, end = story.at(first), story.at(then)
    return None if start is None or end is None else (end - start).total_seconds()


def _cell(seconds: float | None) -> str:
    return "-" if seconds is None else f"{seconds:.0f} s"


def _name(story: Story) -> str:
    return str(story.order["public_tracking_id"])


def _clock() -> str:
    return f"{datetime.now().astimezone():%H:%M:%S}"
