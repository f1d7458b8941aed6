import pytest

from wingxtra.sentences import sentence


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ("Motor 3 failed, emergency landing", "Motor 3 failed, emergency landing."),
        ("It landed.", "It landed."),
        (" Who knows? ", "Who knows?"),
        ("", ""),
    ],
)
def test_words_of_others_end_with_a_full_stop(words: str, told: str) -> None:
    assert sentence(words) == told
