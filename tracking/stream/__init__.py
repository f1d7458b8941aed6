"""`/track/<id>/stream`: open pages are told where the drone is, in a process of its own.

A poll of `tracking/page/position.py` costs about a millisecond of the processor, an event of a
stream a tenth of it (docs/decisions/0077).
"""
