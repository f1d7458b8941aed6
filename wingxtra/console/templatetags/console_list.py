"""The table of a list, with short markup: a row of orders is about 700 bytes."""

import re
from typing import Any

from django import template
from django.contrib.admin.templatetags.admin_list import result_list
from django.utils.safestring import mark_safe

register = template.Library()
CLASS_OF_CELL = re.compile(r'^<(t[hd]) class="[^"]*">')


@register.inclusion_tag("console/list_rows.html")
def list_rows(cl: Any) -> dict[str, Any]:
    """Django's headers and cells, without the class and the label of each cell, which were half of
    the page. A style sheet of one line per column labels the cells on phones, where a row is a
    card, and hides the columns that the list does without on tablets.
    """
    listed: dict[str, Any] = result_list(cl)
    rows = [
        [mark_safe(CLASS_OF_CELL.sub(r"<\1>", cell)) for cell in row]  # noqa: S308
        for row in listed["results"]
    ]
    hidden = getattr(cl.model_admin, "hidden_on_tablets", ())
    columns = [
        (n, header["text"], name in hidden)
        for n, (name, header) in enumerate(
            zip(cl.list_display, listed["result_headers"], strict=True), 1
        )
        if name != "action_checkbox"
    ]
    return {"cl": cl, "headers": listed["result_headers"], "rows": rows, "columns": columns}
