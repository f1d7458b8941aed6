"""Actions on thousands of objects: chosen in a list, carried out by workers."""
