"""What is installed: the wheel, in an environment that has no checkout."""
