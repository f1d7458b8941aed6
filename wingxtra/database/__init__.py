"""Compiled statements, bulk writes and connection checks: all that touches Django's internals."""
