"""
Celery, doing what Foz's jobs do: the task, the application's settings, and a process that submits.

It runs in Celery's own environment (`requirements/celery.lock`) and imports nothing of ours. `celery -A bench.rival
worker` works; `python -m gevent.monkey -m bench.rival PORT` submits: it takes one line of JSON from a connection,
submits and waits as it says, and answers with one line of times.

The guarantees are those of Foz's jobs: a durable quorum queue, persistent messages that the broker has confirmed
before the submission is told to have worked, acknowledged when the result is kept, given again when a worker dies,
results in a Redis that writes each to disk.
"""

import gc
import http.client
import json
import os
import socket
import sys
import time
from collections import deque

import gevent
from celery import Celery

app = Celery("bench", broker=os.environ["BENCH_BROKER"], backend=os.environ["BENCH_RESULTS"])
app.conf.update(
    task_acks_late=True,
    task_reject_on_worker_lost=True,
    task_default_queue=os.environ["BENCH_QUEUE"],
    task_default_queue_type="quorum",
    broker_transport_options={"confirm_publish": True},
    worker_prefetch_multiplier=int(os.environ.get("BENCH_PREFETCH", "1")),
    broker_connection_retry_on_startup=True,
    worker_hijack_root_logger=False,
    broker_pool_limit=32,
)
_kept: deque[http.client.HTTPConnection] = deque()
"""Connections to the upstream that nobody uses."""


def _ask(message: str, max_tokens: int, temperature: float) -> str:
    line = _kept.pop() if _kept else http.client.HTTPConnection("127.0.0.1", int(os.environ["BENCH_UPSTREAM"]))
    body = {
        "model": "mock",
        "messages": [{"role": "user", "content": message}],
        "max_tokens": max_tokens,
        "temperature": temperature,
    }
    headers = {"Content-Type": "application/json", "Authorization": "Bearer sk-upstream"}
    line.request("POST", "/v1/chat/completions", json.dumps(body), headers)
    answer = line.getresponse()
    data = answer.read()
    if answer.status != http.HTTPStatus.OK:
        raise RuntimeError(f"the upstream answered {answer.status}: {data[:200]!r}")
    _kept.append(line)
    text: str = json.loads(data)["choices"][0]["message"]["content"]
    return text


ask = app.task(_ask, name="bench.ask")


class Run:
    """One run of the submitter. Times in milliseconds."""

    def __init__(self, order: dict[str, object]) -> None:
        self._message = str(order["message"])
        self._answer = str(order["answer"])
        self._wait = float(str(order["limit"]))
        self.submit: list[float] = []
        self.done: list[float] = []

    def _one(self, due: float) -> None:
        result = ask.delay(self._message, 256, 0.2)
        self.submit.append((time.perf_counter() - due) * 1000)
        text = result.get(timeout=self._wait)
        self.done.append((time.perf_counter() - due) * 1000)
        if text != self._answer:
            raise RuntimeError(f"job {result.id} brought another answer: {text[:200]!r}")

    def _caller(self, until: float) -> None:
        while (now := time.perf_counter()) < until:
            self._one(now)

    def full(self, seconds: float, callers: int) -> None:
        """So many jobs under way all the while."""
        until = time.perf_counter() + seconds
        gevent.joinall([gevent.spawn(self._caller, until) for _ in range(callers)], raise_error=True)

    def paced(self, seconds: float, rate: float) -> None:
        """So many jobs a second, each at its moment."""
        began = time.perf_counter()
        jobs = []
        for number in range(int(seconds * rate)):
            due = began + number / rate
            gevent.sleep(max(0.0, due - time.perf_counter()))
            jobs.append(gevent.spawn(self._one, due))
        gevent.joinall(jobs, raise_error=True)


def _ordered(order: dict[str, object]) -> dict[str, object]:
    run = Run(order)
    began = time.perf_counter()
    seconds = float(str(order["seconds"]))
    if order["rate"]:
        run.paced(seconds, float(str(order["rate"])))
    else:
        run.full(seconds, int(str(order["callers"])))
    return {"elapsed": time.perf_counter() - began, "submit": run.submit, "done": run.done}


def main(port: int) -> None:
    """Serves orders, one connection after the other, for ever."""
    gc.freeze()
    with socket.create_server(("127.0.0.1", port)) as server:
        while True:
            line, _ = server.accept()
            with line, line.makefile("rb") as read:
                said = read.readline()
                if said:
                    line.sendall(json.dumps(_ordered(json.loads(said))).encode() + b"\n")


if __name__ == "__main__":
    main(int(sys.argv[1]))
