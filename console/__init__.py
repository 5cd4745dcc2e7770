"""The command line's rooms: what `palimpsest` prints and asks. Calls into `actors`, `events` and `store`."""
