"""The functional core: what happened (events), what follows from it (decide), what is so (fold).

No Ray, no I/O, no clock, no randomness in this room: times, ids and token counts come in from outside.
"""
