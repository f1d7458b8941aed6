"""The lines of the attention list as escalation sees them: by cause, without personal data."""

from dataclasses import dataclass, replace
from datetime import datetime

from wingxtra.console import dashboard
from wingxtra.console.attention.groups import Group
from wingxtra.console.models import LASTS, Acknowledgement
from wingxtra.escalation.models import Rule, Severity


@dataclass(frozen=True, slots=True)
class Cause:
    """All lines with one cause. `is_open`: some are not acknowledged.

    `quiet_until`: when the last acknowledgement of an acknowledged one ends.
    """

    key: str
    text: str
    severity: Severity
    level: int
    sources: frozenset[str]
    is_open: bool
    acknowledged_by: str = ""
    quiet_until: datetime | None = None


@dataclass(frozen=True, slots=True)
class Listed:
    """`unknown`: the checks that could not run."""

    lines: tuple[Cause, ...]
    unknown: frozenset[str]

    def of(self, wanted: str) -> dict[str, Cause]:
        """The causes for a rule with this severity, by key."""
        found: dict[str, Cause] = {}
        for line in self.lines:
            if wanted == Severity.WARNING or line.severity == Severity.GRAVE:
                found[line.key] = _both(found[line.key], line) if line.key in found else line
        return found


def listed(now: datetime) -> Listed:
    """What needs attention now. Raises DatabaseError."""
    board = dashboard.board(now)
    source_of = board.findings.source_of
    lines = [_line(group, source_of) for group in board.lines]
    for one in board.acknowledged:
        line = _line(one.group, source_of)
        lines.append(
            replace(
                line,
                is_open=False,
                acknowledged_by=one.by.who,
                quiet_until=_end_of(one.by),
            )
        )
    unknown = (clause for clauses in board.findings.unknown.values() for clause in clauses)
    return Listed(tuple(lines), frozenset(unknown))


def own_trouble(rule: Rule) -> str:
    """The key of the item that says that this rule's receiver cannot be told."""
    return f"escalation:{rule.pk}"


def _line(group: Group, source_of: dict[str, str]) -> Cause:
    return Cause(
        key=group.cause,
        text=_text(group),
        severity=Severity.GRAVE if group.is_grave else Severity.WARNING,
        level=group.level,
        # The cause may be that of another item about the same object, from another check.
        sources=frozenset(
            source_of[one.key] for item in group.items for one in (item, *item.others)
        ),
        is_open=True,
    )


def _text(group: Group) -> str:
    """The kind of trouble and a number. The text of a single item may name an order, whose tracking
    id gives access to it, or quote a person.
    """
    many = group.items[0].many
    if not many:  # it is about no object
        return group.text
    return f"{group.count} {many}" if group.count > 1 else f"1 line: {many}"


def _end_of(mark: Acknowledgement) -> datetime:
    return mark.until or mark.at + LASTS


def _both(one: Cause, other: Cause) -> Cause:
    """Open lines come first. What is open counts; the rest says who looks after the others."""
    if one.is_open:
        return replace(one, sources=one.sources | other.sources)
    return replace(
        max((one, other), key=_quiet),
        level=max(one.level, other.level),
        sources=one.sources | other.sources,
    )


def _quiet(cause: Cause) -> float:
    return cause.quiet_until.timestamp() if cause.quiet_until else 0.0
