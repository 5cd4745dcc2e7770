"""What the parts of the operating system are made of."""
