"""The examples of the Nemotron Chat API's own document, as the reference shows them."""

JOB = "550e8400-e29b-41d4-a716-446655440000"

MINIMAL = b"""{
  "message": "Sua mensagem aqui"
}"""

CHAT = """{
  "message": "Olá, como você está?",
  "max_tokens": 256,
  "temperature": 0.7,
  "use_reasoning": true,
  "idempotency_key": "uuid-gerado-pelo-cliente"
}""".encode()

ACCEPTED = b"""{
  "job_id": "550e8400-e29b-41d4-a716-446655440000",
  "status": "pending",
  "idempotency_key": "..."
}"""

PROCESSING = b"""{
  "job_id": "550e8400-e29b-41d4-a716-446655440000",
  "status": "processing",
  "created_at": "2026-02-02T10:30:00Z",
  "result": null
}"""

COMPLETED = b"""{
  "job_id": "550e8400-e29b-41d4-a716-446655440000",
  "status": "completed",
  "created_at": "2026-02-02T10:30:00Z",
  "result": {
    "response": "Resposta do modelo aqui",
    "mode": "api",
    "latency_ms": 1250.5
  }
}"""

FAILED = """{
  "job_id": "550e8400-e29b-41d4-a716-446655440000",
  "status": "failed",
  "created_at": "2026-02-02T10:30:00Z",
  "error": "Descrição do erro"
}""".encode()

CANCELLED = {"job_id": JOB, "status": "cancelled", "created_at": "2026-02-02T10:30:00Z"}
JOBS = {
    "jobs": [
        {
            "job_id": JOB,
            "status": "completed",
            "created_at": "2026-02-02T10:30:00Z",
            "ended_at": "2026-02-02T10:30:01Z",
            "model": "nemotron",
            "mode": "auto",
        }
    ],
    "next": None,
}
INFO = {
    "modes": {
        "gpu": {
            "available": False,
            "reason": "No target of model 'nemotron' can be asked now: nvidia/... is api, not gpu.",
            "models": [],
            "device": None,
            "queue_depth": 0,
            "workers": 4,
            "reasoning": False,
        },
        "api": {
            "available": True,
            "reason": None,
            "models": ["nemotron"],
            "device": None,
            "queue_depth": 0,
            "workers": 32,
            "reasoning": True,
        },
    },
    "default_mode": "auto",
}
EVENTS = """id: 1.0
event: piece
data: {"text":"Olá"}

event: end
data: {"job_id":"550e8400-e29b-41d4-a716-446655440000","status":"completed"}
"""
