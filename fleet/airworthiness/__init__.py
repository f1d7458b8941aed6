"""Drones as aircraft: serial, counters, maintenance, defects, battery packs and pre-flight checks.

`maintenance` and `serials` are pure. `fitness` asks the database once for all drones. The verbs
that people call are in `records` and `counters`.
"""
