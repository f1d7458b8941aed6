"""A shift: its figures, the note for the next one, and who did what."""
