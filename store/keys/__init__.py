"""Which model server gets which key."""
