"""Flights as they were: tracks, events and decisions for the console's replay."""
