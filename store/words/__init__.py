"""What counts as a word, and as one word."""
