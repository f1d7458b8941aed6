"""Occurrences: staff mark a flight, write what happened, and attach files."""
