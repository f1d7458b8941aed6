"""Planning: candidates, the optimal plan, runs, their decisions and manual assignment."""
