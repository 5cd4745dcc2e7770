"""Time zones, and when timers fire."""
