"""More of everything on the same ledger: partitions, relays, instances."""
