"""Where bytes rest: event logs, vectors, embeddings, token ranks. May import `events`, never `actors`."""
