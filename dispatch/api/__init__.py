"""Assignments, runs and ground control over HTTP."""
