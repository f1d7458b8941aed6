"""What must be in order before a drone flies: the aircraft, its maintenance, checks, and pilots.

`maintenance` and `serials` are pure. `fitness` asks the database once for all drones. The verbs
that people call are in `records`, `counters` and `pilots`.
"""
