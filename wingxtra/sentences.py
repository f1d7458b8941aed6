"""Text from outside (a person, the bridge, a report) as a sentence beside our own."""

ENDS = (".", "!", "?", "…", "”")


def sentence(text: str) -> str:
    """Adds a full stop unless the text ends like a sentence. Empty stays empty."""
    text = text.strip()
    return text if not text or text.endswith(ENDS) else f"{text}."
