"""What the client is made of: what may be asked for, how it is appended, and how its end is learned."""
