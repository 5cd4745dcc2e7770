"""The event log: its contract, and the backends that keep it."""
