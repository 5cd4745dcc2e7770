"""Loading documents into sources."""
