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

DEPLOY = {
    "model_type": "deepseek-v3",
    "model_size": "7b",
    "quantization": "int8",
    "target_nodes": ["worker-03"],
    "deployment_config": {
        "max_batch_size": 8,
        "use_flash_attention": True,
        "use_kv_cache": True,
        "tensor_parallel_size": 1,
        "cpu_offload": False,
    },
}
DEPLOYED = enveloped(
    {
        "deployment_id": "deploy-123456",
        "status": "in_progress",
        "model_id": "deepseek-v3-7b",
        "estimated_time": "5m",
        "progress_url": "/models/local/deployments/deploy-123456",
    }
)
_DEPLOYMENT = {
    "deployment_id": "deploy-123456",
    "model_id": "deepseek-v3-7b",
    "status": "in_progress",
    "progress": 65,
    "current_stage": "downloading_weights",
    "stages": [
        {"name": "preparation", "status": "completed", "duration": "10s"},
        {"name": "downloading_weights", "status": "in_progress", "progress": 65},
        {"name": "model_initialization", "status": "pending"},
        {"name": "model_loading", "status": "pending"},
        {"name": "service_registration", "status": "pending"},
    ],
}
_LINE = {"timestamp": "2025-05-24T10:15:00Z", "level": "info", "message": "开始部署模型"}
DEPLOYMENT = enveloped(
    {
        **_DEPLOYMENT,
        "logs": [
            _LINE,
            {"timestamp": "2025-05-24T10:15:10Z", "level": "info", "message": "准备工作完成"},
            {"timestamp": "2025-05-24T10:15:15Z", "level": "info", "message": "开始下载模型权重"},
        ],
        "estimated_completion": "2025-05-24T10:30:00Z",
    }
)
DEPLOYMENTS = enveloped({"deployments": [{**_DEPLOYMENT, "estimated_completion": "2025-05-24T10:30:00Z"}]})
LOG = "id: 1\ndata: " + json.encode(enveloped(_LINE)).decode() + "\n\ndata: [DONE]\n\n"
UNLOADED = enveloped({"model_id": "deepseek-v3-7b", "status": "unloading", "nodes": ["worker-03"]})
_LOCAL = {
    "id": "deepseek-v3-14b",
    "name": "DeepSeek V3 14B",
    "version": "3.0",
    "status": "active",
    "deployment": {
        "node_id": "worker-01",
        "hardware": "NVIDIA A100",
        "memory_usage": "28GB",
        "quantization": "int8",
        "loaded_at": "2025-05-22T10:00:00Z",
        "health": "healthy",
    },
    "performance": {"tokens_per_second": 80, "avg_latency_ms": 250, "max_batch_size": 8},
}
LOCAL = enveloped(_LOCAL)
LOCALS = enveloped(
    {
        "models": [
            _LOCAL,
            {
                "id": "qwen3-7b",
                "name": "Qwen3 7B",
                "version": "3.0",
                "status": "active",
                "deployment": {
                    "node_id": "worker-02",
                    "hardware": "NVIDIA A10",
                    "memory_usage": "14GB",
                    "quantization": "int8",
                    "loaded_at": "2025-05-23T15:30:00Z",
                    "health": "healthy",
                },
                "performance": {"tokens_per_second": 65, "avg_latency_ms": 180, "max_batch_size": 12},
            },
        ]
    }
)
NODES = enveloped(
    {
        "nodes": [
            {
                "node_id": "local",
                "status": "healthy",
                "hardware": ["AMD EPYC"],
                "cores": 8,
                "memory_total": "31GB",
                "memory_free": "24GB",
                "gpu_memory_free": [],
                "gpu_load": [],
            },
            {
                "node_id": "worker-01",
                "status": "unhealthy",
                "hardware": ["NVIDIA A100"],
                "cores": 32,
                "memory_total": "251GB",
                "memory_free": "198GB",
                "gpu_memory_free": ["71GB"],
                "gpu_load": [3],
                "error": "it does not answer",
            },
        ]
    }
)
