import pytest

from wingxtra.sentences import sentence


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Motor 3 failed, emergency landing", "Motor 3 failed, emergency landing."),
        ("It landed.", "It landed."),
        (" Who knows? ", "Who knows?"),
        ("", ""),
    ],
)
def test_a_text_from_outside_ends_like_a_sentence(text: str, expected: str) -> None:
    assert sentence(text) == expected
