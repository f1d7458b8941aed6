"""Who flies what: candidates, the plan, runs, their decisions and manual assignment."""
