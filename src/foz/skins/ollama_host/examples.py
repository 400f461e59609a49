"""The examples of the API Ollama Host's own document, as the reference shows them."""

MODELS = b'["llama3", "qwen", "mistral", "custom-model"]'

QUESTION = """{
  "agent": "llama3",
  "content": "Explique a teoria da relatividade.",
  "template": "Você é um assistente educado e técnico.",
  "user_key": "111111122",
  "project": "projeto1",
  "process_id": "001",
  "subprocess_id": "001"
}""".encode()

ANSWER = b"Texto completo da resposta gerada pelo modelo."

DASHBOARD = [
    {
        "date": "2025-08-04T11:05:00",
        "total_seconds": 1500000000,
        "total_tokens": 123,
        "input_tokens": 23,
        "output_tokens": 100,
        "model_name": "qwen",
        "input": [{"role": "user", "content": "exemplo"}],
        "output": "resposta gerada",
        "project": "projeto1",
        "process_id": "p001",
        "subprocess_id": "s001",
    }
]
