"""The live map: what is on it, and what has changed since a page last asked."""
