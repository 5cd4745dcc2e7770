"""The hosted model: any server that speaks OpenAI's protocol, by the `openai` client."""
