"""Compares the planner with first come, first served on simulated days. Not used in production."""
