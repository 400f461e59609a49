"""
The program that is an engine: llama.cpp's server in a process of its own (its constructor holds the interpreter's lock
for the whole load).

One line of JSON on standard input says what to load; the key is in it, so no list of processes shows it. It says
`loading` before it reads the weights and `ready PORT` when it answers; what goes wrong is on standard error. It ends
with whoever started it: the kernel kills it when the thread that started it ends (Linux), and it leaves by itself when
its standard input closes.
"""

import ctypes
import os
import signal
import sys
import threading
from urllib.parse import urlsplit

import msgspec
import xllamacpp

from foz.runtime.llamacpp.orders import GPUS, LOADING, READY, Order

_PR_SET_PDEATHSIG = 1
_TYPE = xllamacpp.ggml_backend_dev_type
_GPUS = (_TYPE.GGML_BACKEND_DEVICE_TYPE_GPU, _TYPE.GGML_BACKEND_DEVICE_TYPE_IGPU)
WARNINGS, ERRORS = 2, 1
"""Of llama.cpp's levels: a line for each request would cost time, and nobody reads it."""


def main() -> None:
    """Serves until it is told to stop."""
    if sys.argv[1:] == [GPUS]:
        print(sum(one["type"] in _GPUS for one in xllamacpp.get_device_info()))  # noqa: T201 - it is what was asked
        return
    order = msgspec.json.decode(sys.stdin.buffer.readline(), type=Order)
    _die_with(order.parent)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    threading.Thread(target=_follow, daemon=True).start()
    server = _load(order)
    print(READY, urlsplit(server.listening_address).port, flush=True)  # noqa: T201 - it is how its owner is told
    threading.Event().wait()


def _die_with(parent: int) -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # it died before the kernel was told
        sys.exit(1)


def _follow() -> None:
    while os.read(0, 1):  # not through the buffer: its lock would be held when a load fails
        pass
    os._exit(0)


def _load(order: Order) -> xllamacpp.Server:
    params = xllamacpp.CommonParams()
    params.model.path = order.path
    params.model_alias = {order.name}
    params.hostnames = [order.host]
    params.port = 0
    params.api_keys = [order.key]
    params.cors_origins = "null"
    params.cors_credentials = False
    params.ui = False
    params.verbosity = WARNINGS
    params.endpoint_slots = False
    params.endpoint_metrics = True
    params.n_parallel = order.slots
    params.n_ctx = order.context * order.slots
    params.fit_params = False
    params.cache_ram_mib = 0
    params.cache_idle_slots = False
    params.load_mode = xllamacpp.llama_load_mode.LLAMA_LOAD_MODE_NONE
    params.n_gpu_layers = order.layers_on_gpu
    _share(params, order)
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = order.threads
    flash = xllamacpp.llama_flash_attn_type
    params.flash_attn_type = {
        None: flash.LLAMA_FLASH_ATTN_TYPE_AUTO,
        True: flash.LLAMA_FLASH_ATTN_TYPE_ENABLED,
        False: flash.LLAMA_FLASH_ATTN_TYPE_DISABLED,
    }[order.flash]
    _embed(params, order)
    print(LOADING, flush=True)  # noqa: T201 - as above
    return xllamacpp.Server(params)


def _embed(params: xllamacpp.CommonParams, order: Order) -> None:
    """A text that is turned into a vector is worked at whole, so a slot's context must fit into one batch."""
    if not order.pooling:
        return
    ways = xllamacpp.llama_pooling_type
    params.embedding = True
    params.pooling_type = {
        "mean": ways.LLAMA_POOLING_TYPE_MEAN,
        "cls": ways.LLAMA_POOLING_TYPE_CLS,
        "last": ways.LLAMA_POOLING_TYPE_LAST,
    }[order.pooling]
    params.n_batch = params.n_ubatch = order.context
    params.verbosity = ERRORS  # it warns of each text that its tokens are what they are


def _share(params: xllamacpp.CommonParams, order: Order) -> None:
    """One GPU has all; several share each matrix by its rows, and the first has the context."""
    if not order.layers_on_gpu:
        return
    modes = xllamacpp.llama_split_mode
    params.main_gpu = 0
    params.split_mode = modes.LLAMA_SPLIT_MODE_ROW if order.split else modes.LLAMA_SPLIT_MODE_NONE
    if order.split:
        params.tensor_split = [*order.split, *[0.0] * (len(params.tensor_split) - len(order.split))]


if __name__ == "__main__":
    main()
