"""Webhooks: events sent to merchants."""
