"""
A real browser, driven over its debugging pipe: no driver, no port, no library.

Every request of a page that is not to a loopback address goes to a proxy that is a trap: it notes who was wanted and
hangs up. The browser's own errands (updates, accounts) are not the page's: they get another proxy, where nobody is.
"""

import fcntl
import json
import os
import selectors
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, Self

PATIENCE = 60.0
_FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--no-default-browser-check",
    "--disable-background-networking",
    "--disable-client-side-phishing-detection",
    "--disable-component-update",
    "--proxy-server=http://127.0.0.1:9",
    "--disable-default-apps",
    "--disable-domain-reliability",
    "--disable-extensions",
    "--disable-features=AimEnabled,AimServerEligibilityEnabled,AutofillServerCommunication,MediaRouter,OptimizationHints,Translate",
    "--disable-sync",
    "--metrics-recording-only",
    "--window-size=1400,1000",
    "--remote-debugging-pipe",
)
_PREFERENCES = '{"net": {"network_prediction_options": 2}}'
"""Never guess where the person goes next: older ones call their search engine for every new tab."""
_ON_3_AND_4 = (
    "import os,sys; os.dup2(int(sys.argv[1]),3); os.dup2(int(sys.argv[2]),4); os.execv(sys.argv[3],sys.argv[3:])"
)


def find_chromium() -> str:
    """Debian's browser, or one of its other names."""
    for name in ("chromium", "chromium-browser", "google-chrome"):
        found = shutil.which(name)
        if found:
            return found
    raise RuntimeError("no chromium on this machine: install Debian's package `chromium`")


class Trap:
    """A proxy that lets nobody through and notes who was wanted."""

    def __init__(self) -> None:
        self.wanted: list[str] = []
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._socket.getsockname()[1]
        self._thread = threading.Thread(target=self._listen, daemon=True)
        self._thread.start()

    def _listen(self) -> None:
        while True:
            try:
                caller, _ = self._socket.accept()
            except OSError:
                return
            with caller:
                caller.settimeout(5)
                line = caller.recv(4096).split(b"\r\n")[0].decode("latin-1")
                self.wanted.append(line)

    def close(self) -> None:
        self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        self._thread.join()


class Browser:
    """The browser's end of the pipe: commands out, results and happenings in."""

    def __init__(self, send: int, receive: int) -> None:
        self._send = send
        self._receive = receive
        self._rest = b""
        self._last = 0
        self._pages: dict[str, Page] = {}

    @contextmanager
    def page(self) -> Iterator["Page"]:
        """A tab in a context of its own: nothing is shared with another, not even the cache."""
        with closing(Trap()) as trap:
            context = self.call("Target.createBrowserContext", {"proxyServer": f"http://127.0.0.1:{trap.port}"})
            target = self.call("Target.createTarget", {"url": "about:blank", **context})["targetId"]
            session = self.call("Target.attachToTarget", {"targetId": target, "flatten": True})["sessionId"]
            page = self._pages[session] = Page(self, session, trap)
            for domain in ("Network", "Runtime", "Log", "Page"):
                page.ask(f"{domain}.enable")
            yield page
            self.call("Target.disposeBrowserContext", context)

    def call(self, method: str, params: dict[str, Any], session: str | None = None) -> dict[str, Any]:
        """A command, and its result; what happens meanwhile is noted by the page it happens to."""
        self._last += 1
        said = {"id": self._last, "method": method, "params": params, **({"sessionId": session} if session else {})}
        os.write(self._send, json.dumps(said).encode() + b"\0")
        deadline = time.monotonic() + PATIENCE
        while True:
            message = self._next(deadline, method)
            if message.get("id") == self._last:
                if "error" in message:
                    raise RuntimeError(f"{method}: {message['error']}")
                result: dict[str, Any] = message["result"]
                return result
            page = self._pages.get(message.get("sessionId", ""))
            if page is not None:
                page.note(message["method"], message["params"])

    def _next(self, deadline: float, method: str) -> dict[str, Any]:
        with selectors.DefaultSelector() as selector:
            selector.register(self._receive, selectors.EVENT_READ)
            while b"\0" not in self._rest:
                if not selector.select(deadline - time.monotonic()):
                    raise TimeoutError(f"chromium did not answer {method} within {PATIENCE:.0f} s")
                chunk = os.read(self._receive, 1 << 20)
                if not chunk:
                    raise ConnectionError(f"chromium ended while it was asked for {method}")
                self._rest += chunk
        one, self._rest = self._rest.split(b"\0", 1)
        message: dict[str, Any] = json.loads(one)
        return message


class Page:
    """One tab and all that it said."""

    def __init__(self, browser: Browser, session: str, trap: Trap) -> None:
        self.requests: list[str] = []
        self.complaints: list[str] = []
        self.trap = trap
        self._browser = browser
        self._session = session

    def ask(self, method: str, **params: object) -> dict[str, Any]:
        """A command to the tab."""
        return self._browser.call(method, params, self._session)

    def open(self, url: str) -> None:
        """Goes there."""
        self.ask("Page.navigate", url=url)

    def wait_for(self, condition: str) -> object:
        """Waits until the JavaScript expression is truthy, and gives its value."""
        script = f"""new Promise((done, failed) => {{
            const end = Date.now() + {PATIENCE * 900:.0f};
            const look = () => {{
                const seen = document.body && (() => {condition})();
                if (seen) done(seen);
                else if (Date.now() > end) failed(new Error("never: " + document.body.innerText.slice(0, 2000)));
                else setTimeout(look, 20);
            }};
            look();
        }})"""
        answer = self.ask("Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True)
        if "exceptionDetails" in answer:
            raise AssertionError(answer["exceptionDetails"]["exception"].get("description"), self.complaints)
        return answer["result"].get("value")

    def note(self, method: str, params: dict[str, Any]) -> None:
        """Something happened."""
        match method:
            case "Network.requestWillBeSent":
                self.requests.append(params["request"]["url"])
            case "Log.entryAdded" if params["entry"]["level"] in {"warning", "error"}:
                self.complaints.append(f"{params['entry']['text']} {params['entry'].get('url', '')}")
            case "Runtime.consoleAPICalled" if params["type"] in {"warning", "error", "assert"}:
                self.complaints.append(str([value.get("value", value.get("description")) for value in params["args"]]))
            case "Runtime.exceptionThrown":
                self.complaints.append(str(params["exceptionDetails"]))


class _Pipes:
    """Two pipes; the browser's ends are numbered above those that it expects them on."""

    def __init__(self) -> None:
        self.theirs_in, self.ours_out = self._pipe()
        self.ours_in, self.theirs_out = self._pipe()

    def _pipe(self) -> tuple[int, int]:
        low = os.pipe()
        high = tuple(fcntl.fcntl(end, fcntl.F_DUPFD_CLOEXEC, 10) for end in low)
        for end in low:
            os.close(end)
        return high[0], high[1]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self.ours_in)
        os.close(self.ours_out)


@contextmanager
def open_browser(directory: Path) -> Iterator[Browser]:
    """A fresh browser with a profile in this empty directory."""
    program = find_chromium()
    (directory / "profile/Default").mkdir(parents=True)
    (directory / "profile/Default/Preferences").write_text(_PREFERENCES)
    with _Pipes() as pipes, (directory / "chromium.log").open("wb") as log:
        ends = (pipes.theirs_in, pipes.theirs_out)
        command = [
            program,
            *_FLAGS,
            f"--user-data-dir={directory / 'profile'}",
            "about:blank",
        ]
        process = subprocess.Popen(
            [sys.executable, "-c", _ON_3_AND_4, *map(str, ends), *command],
            pass_fds=ends,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )
        for end in ends:
            os.close(end)
        try:
            browser = Browser(pipes.ours_out, pipes.ours_in)
            yield browser
            browser.call("Browser.close", {})
            process.wait(PATIENCE)
        finally:
            process.kill()
            process.wait()
