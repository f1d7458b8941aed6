"""The operator's log: one record for each job that left the ground. See docs/flight-records.md."""
