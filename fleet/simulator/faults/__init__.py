"""Faults on request: their definitions and effects."""
