"""The command line's rooms: what `launch.py` prints and asks. Calls into `actors`, `events` and `store`."""
