"""`make drill`: the whole product under all faults at once, and staff who resolve them."""
