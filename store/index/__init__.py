"""The index of recall and archival memory: a projection of the log onto Qdrant's engine."""
