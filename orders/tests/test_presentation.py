"""A place in line in words."""

from datetime import UTC, datetime

import pytest

from orders import presentation
from orders.promises.memory import InLine
from orders.states import WhyHeldUp

AT = datetime(2026, 3, 2, 14, 5, tzinfo=UTC)
THIRD = InLine(3, 12, AT, AT.replace(minute=20))


@pytest.mark.parametrize(
    ("number", "words"),
    [(1, "1st"), (2, "2nd"), (3, "3rd"), (4, "4th"), (11, "11th"), (12, "12th"), (21, "21st")],
)
def test_ordinals(number, words):
    assert presentation.ordinal(number) == words


def test_a_place_in_words():
    assert presentation.in_line(THIRD) == "3rd in line of 12, about 14:05–14:20 UTC"
    assert presentation.in_line_shortly(THIRD) == [("3rd in line",), ("14:05–14:20",)]
    assert presentation.in_line(None) == ""
    assert presentation.in_line_shortly(None) == [("—",)]


@pytest.mark.parametrize("why", WhyHeldUp)
def test_each_reason_to_wait_has_words(why):
    held_up = InLine(None, 12, because=why)
    assert presentation.in_line(held_up).startswith("In line: ")
    ((short,),) = presentation.in_line_shortly(held_up)
    assert short != "In line"
