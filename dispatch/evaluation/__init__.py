"""How good the planner is, on simulated days against first come. Production needs none of it."""
