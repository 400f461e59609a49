"""The examples of the 模型 API's own document, as the reference shows them. Nobody's dots are left out of vectors."""

from foz.wire import json

CHAT = """{
  "messages": [
    {
      "role": "system",
      "content": "你是一个有用的AI助手。"
    },
    {
      "role": "user",
      "content": "你好，请介绍一下自己。"
    }
  ],
  "max_tokens": 500,
  "temperature": 0.7,
  "stream": false
}""".encode()

COMPLETION = b"""{
  "prompt": "string",
  "max_tokens": 100,
  "temperature": 1.0,
  "top_p": 1.0,
  "n": 1,
  "stream": false,
  "stop": ["\\n", "user:"]
}"""

EMBEDDING = """{
  "input": ["这是第一段文本", "这是第二段文本"],
  "encoding_format": "float"
}""".encode()


def enveloped(data: object) -> dict[str, object]:
    """An answer as it stands in the document."""
    return {"code": 200, "message": "success", "data": data, "request_id": "uuid"}


CHAT_ANSWER = json.encode(
    enveloped(
        {
            "id": "chatcmpl-123456",
            "object": "chat.completion",
            "created": 1677858242,
            "model": "gpt-4",
            "choices": [
                {
                    "message": {"role": "assistant", "content": "你好！我是一个AI助手，基于大型语言模型构建..."},
                    "finish_reason": "stop",
                    "index": 0,
                }
            ],
            "usage": {"prompt_tokens": 25, "completion_tokens": 40, "total_tokens": 65},
        }
    )
)

COMPLETION_ANSWER = json.encode(
    enveloped(
        {
            "id": "cmpl-123456",
            "object": "text_completion",
            "created": 1677858242,
            "model": "gpt-4",
            "choices": [{"text": "这是模型生成的文本", "index": 0, "finish_reason": "stop"}],
            "usage": {"prompt_tokens": 10, "completion_tokens": 20, "total_tokens": 30},
        }
    )
)

EMBEDDING_ANSWER = json.encode(
    enveloped(
        {
            "object": "list",
            "data": [
                {"object": "embedding", "embedding": [0.002, -0.003, 0.67], "index": 0},
                {"object": "embedding", "embedding": [0.003, -0.002, 0.78], "index": 1},
            ],
            "model": "text-embedding-ada-002",
            "usage": {"prompt_tokens": 20, "total_tokens": 20},
        }
    )
)

_GPT_4 = {
    "id": "gpt-4",
    "name": "GPT-4",
    "description": "OpenAI GPT-4 大型语言模型",
    "version": "1.0",
    "capabilities": ["chat", "completion", "embedding"],
    "provider": "openai",
    "status": "active",
}
MODELS = enveloped(
    {
        "models": [
            _GPT_4,
            {
                "id": "claude-3",
                "name": "Claude 3",
                "description": "Anthropic Claude 3 大型语言模型",
                "version": "1.0",
                "capabilities": ["chat", "completion"],
                "provider": "anthropic",
                "status": "active",
            },
            {
                "id": "deepseek-v3-14b",
                "name": "DeepSeek V3 14B",
                "description": "本地部署的 DeepSeek V3 14B 大型语言模型",
                "version": "3.0",
                "capabilities": ["chat", "completion", "code"],
                "provider": "local",
                "status": "active",
                "deployment": {"type": "local", "hardware": "NVIDIA A100", "quantization": "int8"},
            },
            {
                "id": "qwen3-7b",
                "name": "Qwen3 7B",
                "description": "本地部署的 Qwen3 7B 大型语言模型",
                "version": "3.0",
                "capabilities": ["chat", "completion", "tool_use"],
                "provider": "local",
                "status": "active",
                "deployment": {"type": "local", "hardware": "NVIDIA A10", "quantization": "int8"},
            },
        ]
    }
)
MODEL = enveloped(
    {
        **_GPT_4,
        "parameters": {
            "max_tokens": 8192,
            "temperature": {"min": 0.0, "max": 2.0, "default": 1.0},
            "top_p": {"min": 0.0, "max": 1.0, "default": 1.0},
        },
        "pricing": {"input_per_1k_tokens": 0.03, "output_per_1k_tokens": 0.06, "currency": "USD"},
        "stats": {"average_latency_ms": 500, "availability": 0.995},
    }
)
