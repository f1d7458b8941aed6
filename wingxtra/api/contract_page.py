"""docs/contracts/members.md: every member of the published contracts, as tables."""

from wingxtra.api.contracts import CONTRACTS, PUBLISHED, Schema, generated, members

PAGE = CONTRACTS / "members.md"
HEAD = """# Members of the contracts

Written by `manage.py contracts` from the types of the code. `a.b` is the member `b` of the object
`a`. The JSON Schemas beside this page say the same with all bounds.
"""


def text() -> str:
    parts = [HEAD]
    for name in sorted(PUBLISHED):
        schema = generated(name)
        parts.append(f"## {schema['title']}\n\n[{name}.schema.json]({name}.schema.json)\n")
        rows = [_row(*member) for member in members(schema)]
        parts.append("\n".join(["| member | type | what it is |", "|---|---|---|", *rows, ""]))
    return "\n".join(parts)


def _row(name: str, member: Schema, is_always_there: bool) -> str:
    optional = "" if is_always_there else "; not always there"
    return f"| `{name}` | {_type(member)}{optional} | {member.get('description', '')} |"


def _type(member: Schema) -> str:
    if "const" in member and isinstance(member["const"], str | int):
        return f"`{member['const']}`"
    kind = member.get("type", "any")
    kinds = [kind] if isinstance(kind, str) else kind
    text = " or ".join(kinds)
    if form := member.get("format"):
        text = text.replace("string", {"uuid": "UUID", "date-time": "time", "uri": "URI"}[form])
    if all(isinstance(value, str | None) for value in member.get("enum", [[]])):
        values = [f"`{value}`" for value in member["enum"] if value is not None]
        text = ", ".join(values) + (" or null" if None in member["enum"] else "")
    return text
