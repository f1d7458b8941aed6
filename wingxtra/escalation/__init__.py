"""Tells people outside of the console of what needs attention and is not acknowledged."""
