"""Flights without an order: a drone that stands at another hub is sent to its base."""
