"""Compiled statements, bulk writes and connection checks, all of which use Django's internals."""
