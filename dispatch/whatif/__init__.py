"""Simulated days, and what-if questions about real days."""
