"""Flight progress, read from telemetry. Pure: time and rules are arguments."""
