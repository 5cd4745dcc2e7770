"""The built-in model: deterministic, extractive, no LLM."""
