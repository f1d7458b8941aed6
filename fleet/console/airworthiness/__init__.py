"""Maintenance, defects, battery packs and pre-flight checks in the console."""

from fleet.console.airworthiness import acting, pages, sections, worklist  # noqa: F401
