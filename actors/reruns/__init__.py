"""Running an agent again under other settings, in one process and without Ray."""
