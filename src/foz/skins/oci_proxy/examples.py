"""The examples of the OCI GenAI Proxy's own document, as the reference shows them."""

CHAT = """{
  "messages": [
    {"role": "user", "content": "Explique computação quântica"}
  ],
  "temperature": 0.7,
  "max_tokens": 500
}""".encode()

CHAT_ANSWER = b"""{
  "id": "chatcmpl-abc123",
  "object": "chat.completion",
  "created": 1699999999,
  "model": "gpt5",
  "choices": [
    {
      "index": 0,
      "message": {
        "role": "assistant",
        "content": "Resposta do modelo..."
      },
      "finish_reason": "stop"
    }
  ],
  "usage": {
    "prompt_tokens": 15,
    "completion_tokens": 120,
    "total_tokens": 135
  }
}"""

COMPLETION = b"""{"prompt": "Era uma vez", "max_tokens": 100}"""

EMBEDDING = b"""{
  "input": "Texto para gerar embedding",
  "model": "cohere.embed-multilingual-v3.0"
}"""

INFERENCE = """{
  "prompt": "Traduza para inglês: Olá, mundo!",
  "temperature": 0.3,
  "max_tokens": 100
}""".encode()

INFERENCE_ANSWER = b"""{
  "response": {
    "text": "Resposta do modelo...",
    "finish_reason": "STOP"
  }
}"""

AGENT = """{
  "channel": "web-app",
  "cuid": "user-12345",
  "userMessage": "Olá, preciso de ajuda"
}""".encode()

AGENT_ANSWER = b"""{
  "agentResponse": {
    "role": "ASSISTANT",
    "content": [
      {
        "text": "Resposta do agent..."
      }
    ],
    "timeCreated": "2024-11-14T10:05:00.000Z"
  },
  "sessionInfo": {
    "sessionId": "ocid1.generativeaiagentsession.oc1.us-chicago-1.amaaa...",
    "sessionKey": "web-app:user-12345",
    "reused": true
  }
}"""

SESSION_REQUEST = {"channel": "web-app", "cuid": "user-12345"}
SESSION = {"id": "ocid1.generativeaiagentsession.oc1.us-chicago-1.amaaa...", "displayName": "web-app:user-12345"}
MODELS = {"models": [{"name": "gpt5", "type": "model", "region": "us-chicago-1"}]}
MODEL = {"object": "list", "data": [{"id": "gpt5", "object": "model", "created": 0, "owned_by": "oracle"}]}
