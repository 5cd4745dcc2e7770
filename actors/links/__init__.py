"""How anyone speaks to a part of the system, or to a log as if it were one."""
