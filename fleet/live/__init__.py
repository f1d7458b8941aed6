"""The live telemetry of the Fleet API: fetched, decoded, checked and kept in Redis."""
