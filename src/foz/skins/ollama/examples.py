"""What the reference shows of Ollama's API: bodies that are sent, and what is answered."""

MODEL = "llama3.2"
CHAT = b'{"model": "llama3.2", "messages": [{"role": "user", "content": "Where do rivers end?"}], "stream": false}'
GENERATE = b'{"model": "llama3.2", "prompt": "Where do rivers end?", "stream": false}'
EMBED = b'{"model": "all-minilm", "input": ["river", "mouth"]}'
EMBEDDINGS = b'{"model": "all-minilm", "prompt": "river"}'
CHATTED = (
    b'{"model": "llama3.2", "created_at": "2026-11-21T12:00:00Z", "message": {"role": "assistant", '
    b'"content": "Into the sea."}, "done": true, "done_reason": "stop", "total_duration": 412000000, '
    b'"prompt_eval_count": 9, "eval_count": 4, "eval_duration": 412000000}'
)
GENERATED = (
    b'{"model": "llama3.2", "created_at": "2026-11-21T12:00:00Z", "response": "Into the sea.", "done": true, '
    b'"done_reason": "stop", "total_duration": 412000000, "prompt_eval_count": 9, '
    b'"eval_count": 4, "eval_duration": 412000000}'
)
EMBEDDED = (
    b'{"model": "all-minilm", "embeddings": [[0.6, 0.8], [1.0, 0.0]], "total_duration": 14000000, '
    b'"prompt_eval_count": 2}'
)
EMBEDDING = b'{"embedding": [0.6, 0.8]}'
_DETAILS = {
    "parent_model": "",
    "format": "",
    "family": "ollama",
    "families": ["ollama"],
    "parameter_size": "",
    "quantization_level": "",
}
TAGS = (
    b'{"models": [{"name": "llama3.2:latest", "model": "llama3.2:latest", "modified_at": "2026-11-21T12:00:00Z", '
    b'"size": 0, "digest": "3b8f6ef6f7dcd4a0aa0bd8ab5e4e7ad4a5b2e32b6c0e1aef7b4dc1d5a8d0a0f1", "details": '
    b'{"parent_model": "", "format": "", "family": "ollama", "families": ["ollama"], "parameter_size": "", '
    b'"quantization_level": ""}, "capabilities": ["completion", "tools"]}]}'
)
SHOWN = {
    "license": "",
    "modelfile": "FROM llama3.2\n",
    "parameters": "",
    "template": "{{ .Prompt }}",
    "system": "",
    "details": _DETAILS,
    "model_info": {"general.architecture": "ollama"},
    "capabilities": ["completion", "tools"],
    "modified_at": "2026-11-21T12:00:00Z",
}
LOADED: dict[str, object] = {"models": []}
VERSION = {"version": "0.12.6"}
NAMED = {"model": MODEL}
PULL = {"model": MODEL, "stream": False}
CREATED = '{"status":"success"}\n'
PULLED = (
    '{"status":"pulling manifest"}\n'
    '{"status":"pulling 3b8f6ef6f7dc",'
    '"digest":"sha256:3b8f6ef6f7dcd4a0aa0bd8ab5e4e7ad4a5b2e32b6c0e1aef7b4dc1d5a8d0a0f1",'
    '"total":2019377376,"completed":1009688688}\n' + CREATED
)
COPY = {"source": MODEL, "destination": "house-chat"}
CREATE = {"model": "llama3.2-long", "from": MODEL, "parameters": {"num_ctx": 16384}, "stream": False}
DONE = {"status": "success"}
