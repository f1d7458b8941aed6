"""How far a flight is, read from telemetry. Pure: time and rules are arguments."""
