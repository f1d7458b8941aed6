"""`make drill`: the whole product under every fault at once, and people who put it right."""
