"""Simulated days, and the questions that people ask of them."""
