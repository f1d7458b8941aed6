"""Registers the pages of a shift in the console."""

from dispatch.shift import drone_day, notes, pages, pauses, people  # noqa: F401 (notes registers)
from wingxtra.console import registry, roles
from wingxtra.console.past import from_replica
from wingxtra.console.registry import Page

roles.seen_by_all("dispatch.view_shiftnote")
roles.done_by_ops("dispatch.add_shiftnote", "dispatch.change_shiftnote")
registry.pages += [
    Page("shift/", from_replica(pages.shift), "shift"),
    Page("shift/csv/", from_replica(pages.shift_csv), "shift-csv"),
    Page("shift/people/", from_replica(people.page), "shift-people"),
    Page("shift/drone/", from_replica(drone_day.page), "shift-drone"),
    Page("shift/pauses/", from_replica(pauses.page), "shift-pauses"),
]
