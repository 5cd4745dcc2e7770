"""One system a data folder: how a process finds the one that runs, joins it at its door, or starts it."""
