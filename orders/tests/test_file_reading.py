"""Files of orders as rows: CSV and JSON, as people and spreadsheets write them."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orders.files import cells, reading
from orders.files.reading import Unreadable

COLUMNS = reading.Columns(
    ("external_id", "customer_name", "pickup_lat", "size_cm.l", "size_cm.w"),
    frozenset({"pickup_lat", "size_cm.l", "size_cm.w"}),
    ("metadata",),
)
HEAD = "external_id,customer_name,pickup_lat\n"


def read(content: str | bytes) -> list[reading.Row]:
    content = content.encode() if isinstance(content, str) else content
    return reading.read(content, COLUMNS)


def values(content: str) -> list[dict[str, Any]]:
    return [dict(row.values) for row in read(content)]


@pytest.mark.parametrize(
    "content",
    [
        "external_id,pickup_lat,customer_name\nA-1,5.6,Ama\n",
        "\ufeffexternal_id;pickup_lat;customer_name\r\nA-1;5,6;Ama\r\n",
        " External_ID , Pickup_Lat ,customer_name,,\n A-1 , 5.6 , Ama,,\n,,,,\n",
        'external_id,pickup_lat,customer_name\n"A-1",5.6,"Ama"',
        '[{"external_id": "A-1", "pickup_lat": 5.6, "customer_name": "Ama"}]',
        ' {"orders": [{"external_id": "A-1", "pickup_lat": 5.6, "customer_name": "Ama"}]}',
    ],
)
def test_one_order_however_it_is_written(content: str) -> None:
    assert values(content) == [{"external_id": "A-1", "pickup_lat": 5.6, "customer_name": "Ama"}]


def test_a_row_has_the_number_of_the_line_where_it_begins() -> None:
    rows = read(f'{HEAD}A-1,"Ama\nMensah",5.6\n\n,,\nA-2,Kofi,5.7\n')
    assert [(row.number, row.values["customer_name"]) for row in rows] == [
        (2, "Ama\nMensah"),
        (6, "Kofi"),
    ]
    assert [row.number for row in read('[{"external_id": "A-1"}, {}]')] == [1, 2]


def test_an_empty_cell_is_not_given_and_no_number_stays_text() -> None:
    assert values(f"{HEAD}A-1,,north\nA-2\nA-3,, nan\nA-4,,1e999\nA-5,,1_000\n") == [
        {"external_id": "A-1", "pickup_lat": "north"},
        {"external_id": "A-2"},
        {"external_id": "A-3", "pickup_lat": "nan"},
        {"external_id": "A-4", "pickup_lat": "1e999"},
        {"external_id": "A-5", "pickup_lat": "1_000"},
    ]


def test_a_decimal_comma_needs_semicolons() -> None:
    assert values('external_id,pickup_lat\nA-1,"5,6"\n')[0]["pickup_lat"] == "5,6"
    assert values("external_id;pickup_lat\nA-1;-0,187\n")[0]["pickup_lat"] == -0.187


def test_a_column_with_a_dot_is_a_member_of_a_member() -> None:
    head = "Size_cm.L,size_cm.w,Metadata.Shelf,metadata.a.b"
    assert values(f"{head}\n10,5.5,B 4,=x\n,,,\n20,,,\n") == [
        {"size_cm": {"l": 10, "w": 5.5}, "metadata": {"Shelf": "B 4", "a.b": "=x"}},
        {"size_cm": {"l": 20}},
    ]
    for unknown in ("metadata", "metadata.", "size_cm", "size_cm.x", "external_id.x"):
        with pytest.raises(Unreadable) as refused:
            read(f"{unknown}\n1\n")
        assert refused.value.code == "column_unknown"
        assert "metadata.…" in refused.value.detail


def test_a_json_file_may_be_as_long_as_a_csv_file() -> None:
    order = {"external_id": "A-1", "customer_name": "Ama", "pickup_lat": 5.6}
    assert len(read(json.dumps([order] * reading.MAX_ROWS))) == reading.MAX_ROWS


def test_rows_that_are_none_have_a_problem_and_the_others_are_read() -> None:
    rows = read(f"{HEAD}A-1,Ama,5.6,surplus\nA-2,Ama,5.6\n")
    assert [[problem.code for problem in row.problems] for row in rows] == [["too_many_cells"], []]
    rows = read('[7, {"external_id": "A-2"}]')
    assert [[problem.code for problem in row.problems] for row in rows] == [["invalid"], []]


@pytest.mark.parametrize(
    ("content", "code", "words"),
    [
        (HEAD.encode() + "A-1,Zo\xeb,5".encode("latin-1"), "not_utf8", "line 2"),
        (HEAD.encode("utf-16"), "not_utf8", "CSV UTF-8"),
        (b"", "file_empty", "empty"),
        (b"\xef\xbb\xbf\n \n", "file_empty", "empty"),
        (HEAD, "file_empty", "no orders"),
        ("[]", "file_empty", "no orders"),
        ("external_id,colour,size\nA-1,red,5", "column_unknown", "“colour”, “size”"),
        ("external_id,External_Id\nA-1,A-2", "column_twice", "“external_id”"),
        (HEAD + 'A-1,"Ama,5\nA-2,Ama,5', "not_csv", "Line 2"),
        ("[{]", "not_json", "The file is not JSON"),
        ('{"order": {}}', "not_json", "“orders”"),
        ('{"orders": [{"pickup_lat": NaN}]}', "not_json", "NaN"),
        ('[{"pickup_lat": 1, "pickup_lat": 2}]', "not_json", "twice"),
        ('[], "orders": [{}]', "not_json", "twice"),
        (HEAD + "A,,5\n" * 1001, "too_many_rows", "1,001"),
        (b"x" * 2_000_001, "file_too_large", "2 MB"),
    ],
)
def test_an_unreadable_file_says_what_to_mend(content: str | bytes, code: str, words: str) -> None:
    with pytest.raises(Unreadable) as refused:
        read(content)
    assert refused.value.code == code
    assert words in refused.value.detail


@given(st.binary(max_size=200) | st.text(max_size=200).map(str.encode))
def test_no_file_breaks_the_reader(content: bytes) -> None:
    try:
        rows = reading.read(content, COLUMNS)
    except Unreadable:
        return
    assert all(isinstance(row.values, dict) for row in rows)
    json.dumps([row.values for row in rows], allow_nan=False)


@given(st.text())
def test_written_cells_are_no_formulas_and_come_back_unchanged(text: str) -> None:
    assert not cells.harmless(text).startswith(("=", "+", "-", "@", "\t", "\r"))
    assert cells.original(cells.harmless(text.strip())) == text.strip() or text.startswith("'")


def test_formulas_are_text() -> None:
    assert cells.harmless("=HYPERLINK(1)") == "'=HYPERLINK(1)"
    assert values(f'{HEAD}A-1,"\'=1+1",5\n')[0]["customer_name"] == "=1+1"
    assert values(f"{HEAD}A-1,=1+1,5\n")[0]["customer_name"] == "=1+1"
