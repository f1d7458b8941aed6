"""Drones as aircraft: serial, counters, maintenance, defects, battery packs, checks and pilots.

`maintenance` and `serials` are pure. `fitness` asks the database once for all drones. The verbs
that people call are in `records` and `counters`.
"""
