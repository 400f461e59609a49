"""The chat completions of seed 002: conversations over Hugging Face's models, in the envelope `{success, data}`."""
