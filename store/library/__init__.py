"""The documents of sources, as agents search and read them."""
