"""Words of others (a person, the bridge, a report) beside our own sentences."""

ENDS = (".", "!", "?", "…", "”")


def sentence(words: str) -> str:
    """With a full stop, unless it ends like a sentence already. Empty stays empty."""
    words = words.strip()
    return words if not words or words.endswith(ENDS) else f"{words}."
