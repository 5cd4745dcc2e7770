"""What an LLM processor can drive: the `openai` client, and the built-in `offline` model."""
