"""`foz chat` in a real terminal and in a pipe, against a gateway that runs."""

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from foz.testing.process import Served, Upstream, clean_environment, free_port, start_gateway, start_upstream
from tests.e2e.terminal import END, INTERRUPT, Terminal

CONFIG = """
[auth]
admin_key = "the-admin-key"

[[provider]]
name = "near"
base_url = "http://127.0.0.1:{port}/v1"
auth = "none"

[[provider]]
name = "slow"
base_url = "http://127.0.0.1:{port}/v1"
auth = "none"
headers = {{ "x-simulate-words" = "5000", "x-simulate-pace" = "0.01" }}

[[provider]]
name = "broken"
base_url = "http://127.0.0.1:{port}/v1"
auth = "none"
headers = {{ "x-simulate-error" = "4" }}

[[model]]
name = "a-vector"
targets = ["near/text-embedding-3-small"]

[[model]]
name = "house-chat"
targets = ["near/anything"]

[[model]]
name = "slow-chat"
targets = ["slow/anything"]

[[model]]
name = "broken-chat"
targets = ["broken/anything"]
"""
KEY = "the-admin-key"


@pytest.fixture(scope="module")
def upstream(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Upstream]:
    """Whom the gateway asks."""
    with start_upstream(tmp_path_factory.mktemp("upstream")) as one:
        yield one


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory, upstream: Upstream) -> Iterator[Served]:
    """A gateway with a model that answers, one that takes its time and one that breaks off."""
    with start_gateway(tmp_path_factory.mktemp("chat"), config=CONFIG.format(port=upstream.port)) as one:
        yield one


def _environment(gateway: Served, **more: str) -> dict[str, str]:
    own = {"FOZ_DATA": str(gateway.folder / "data"), "HOME": str(gateway.folder), "FOZ_PORT": str(gateway.port)}
    return clean_environment({**own, **more})


def _talk(gateway: Served, *arguments: str) -> Terminal:
    """A conversation in a terminal, ready for its first line."""
    command = (sys.executable, "-m", "foz", "chat", *arguments)
    return Terminal(command, gateway.folder, _environment(gateway))


def _piped(
    gateway: Served, words: str, *arguments: str, folder: Path | None = None, **more: str
) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        (sys.executable, "-m", "foz", "chat", *arguments), cwd=folder or gateway.folder,
        env=_environment(gateway, **more), input=words, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip


# In a pipe.


def test_a_question_from_a_pipe_is_answered(gateway: Served) -> None:
    """The answer alone is on standard output, and the exit code is 0."""
    found = _piped(gateway, "Where do rivers end?\n", "house-chat")
    assert (found.returncode, found.stderr) == (0, "")
    assert found.stdout.startswith('This is Foz\'s simulated model. You said: "Where do rivers end?"')
    assert found.stdout.endswith(".\n")


def test_without_a_name_the_first_model_of_the_settings_answers(gateway: Served) -> None:
    """`foz chat` asks the model that `foz serve` proposes, and tells its tokens where that is wanted."""
    found = _piped(gateway, "one two three", "--verbose", "--system", "four five")
    assert 'You said: "one two three"' in found.stdout
    assert re.fullmatch(r"5 tokens in, \d+ out; first after \d\.\d\d s; [\d,]+\.\d tokens/s\n", found.stderr)


def test_what_a_terminal_would_obey_does_not_come_through(gateway: Served) -> None:
    """Escape sequences, bells and reversed text that a model says are not shown; letters of all scripts are."""
    hostile = "\x1b[31mred\x1b]0;title\x07 \u202egnitirw \x9b2J ação 河口 \u3000 👩\u200d💻"
    found = _piped(gateway, hostile, "house-chat")
    assert "�[31mred�]0;title� �gnitirw �2J ação 河口 \u3000 👩\u200d💻" in found.stdout
    assert not set("\x1b\x07\x9b\u202e") & set(found.stdout)


@pytest.mark.parametrize(
    ("words", "arguments", "said"),
    [
        ("hi", ("nobody",), "nobody"),
        ("hi", ("house-chat", "--key", "another"), "Give your key with --key or FOZ_KEY."),
        ("hi", ("broken-chat",), "simulated"),
        (" \n", ("house-chat",), "There is no question: say it on standard input"),
        ("hi", ("--url", "ftp://box"), "expected an address such as http://127.0.0.1:8000."),
    ],
)
def test_what_goes_wrong_is_told_in_a_line(gateway: Served, words: str, arguments: tuple[str, ...], said: str) -> None:
    """It ends with exit code 1 and one line that says why."""
    found = _piped(gateway, words, *arguments)
    assert found.returncode == 1
    (line,) = [line for line in found.stderr.splitlines() if line.startswith("Error: ")]
    assert said in line
    assert "Traceback" not in found.stderr


def test_where_no_gateway_runs_it_says_what_to_do(tmp_path: Path) -> None:
    """A machine without a gateway is told in one line how to start one."""
    environment = clean_environment({"HOME": str(tmp_path), "FOZ_PORT": str(port := free_port())})
    found = subprocess.run(
        (sys.executable, "-m", "foz", "chat"), cwd=tmp_path, env=environment, input="hi",
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert found.returncode == 1
    said = f"No gateway answers at http://127.0.0.1:{port}. Start one with `foz serve`, or name another with --url."
    assert found.stderr == f"Error: {said}\n"


def test_the_key_of_the_settings_goes_to_their_gateway_only(gateway: Served, tmp_path: Path) -> None:
    """An address that was named gets the key that was given for it, and no other."""
    there = ("house-chat", "--url", gateway.url)
    assert "Give your key with --key or FOZ_KEY." in _piped(gateway, "hi", *there).stderr
    assert _piped(gateway, "hi", *there, folder=tmp_path, FOZ_KEY=KEY).returncode == 0


def test_a_model_that_does_not_talk_is_not_chosen(gateway: Served) -> None:
    """At an address that was named the first model that talks is asked, whatever stands before it in the list."""
    found = _piped(gateway, "hi", "--url", gateway.url, "--key", KEY)
    said = "Error: the upstream broke off its stream with an error: simulated: status 500 was asked for"
    assert (found.returncode, found.stderr) == (1, f"{said} (target broken/anything)\n")


# In a terminal.


def test_a_conversation_in_a_terminal(gateway: Served) -> None:
    """Each answer is shown as it comes, the model is told all that was said, and Ctrl-D leaves."""
    with _talk(gateway, "house-chat", "--verbose") as terminal:
        terminal.see(r"house-chat at http://127\.0\.0\.1:\d+\. .*>>> ")
        terminal.type("one two")
        first = terminal.see(r"You said: \"one two\".*\n2 tokens in, (\d+) out;.*>>> ")
        out = int(re.findall(r"(\d+) out", first)[0])
        terminal.type("three")
        terminal.see(rf"You said: \"three\".*\n{2 + out + 1} tokens in, .*>>> ")
        terminal.type("/clear")
        terminal.see(r"Forgotten\..*>>> ")
        terminal.type("four \\")
        terminal.see(r"\.\.\. ")
        terminal.type("five")
        terminal.see(r"You said: \"four.*five\".*\n2 tokens in, .*>>> ")
        terminal.press(END)
        assert terminal.ended() == 0


def test_a_stopped_answer_leaves_the_conversation_open(gateway: Served, upstream: Upstream) -> None:
    """Ctrl-C ends the answer, up to the upstream, and the next question is answered."""
    with _talk(gateway, "slow-chat") as terminal:
        terminal.see(">>> ")
        terminal.type("Tell me a long story")
        terminal.see("simulated model")
        terminal.press(INTERRUPT)
        terminal.see(r"\(stopped\)\r\n>>> ")
        gateway.wait_for(lambda: upstream.seen()["answering"] == 0, "the upstream to be let go")
        terminal.type("/model house-chat")
        terminal.see(r"Now house-chat\..*>>> ")
        terminal.press(INTERRUPT)
        terminal.see(r"Ctrl-D or /quit leaves.*>>> ")
        terminal.type("//and now")
        terminal.see(r"You said: \"/and now\".*>>> ")
        terminal.type("/quit")
        assert terminal.ended() == 0


def test_thoughts_are_dimmed(gateway: Served) -> None:
    """What a model thinks comes before its words, dimmed, on lines of its own; a pipe gets the words alone."""
    with _talk(gateway, "house-chat") as terminal:
        terminal.see(">>> ")
        terminal.type("/think low")
        terminal.see(r"asked to think: low.*>>> ")
        terminal.type("hello")
        terminal.see(r"\x1b\[2mThe caller wants an answer\.[^\x1b]*\r\n\x1b\[0mThis is .*>>> ")
    assert "caller wants" not in _piped(gateway, "hello", "house-chat", "--think", "low").stdout


def test_commands_and_faults_in_a_terminal(gateway: Served) -> None:
    """A model that breaks off or is not there is told in a line, and the conversation goes on."""
    with _talk(gateway, "broken-chat", "--verbose") as terminal:
        terminal.see(">>> ")
        terminal.type("hello")
        terminal.see(r"Error: the upstream broke off its stream with an error: simulated.*>>> ")
        terminal.type("/model")
        assert {"house-chat", "slow-chat"} < set(terminal.see(">>> ").split())
        terminal.type("/model nobody")
        terminal.see(">>> ")
        terminal.type("hello")
        terminal.see(r"Error: [^\r]*nobody[^\r]*\r\n>>> ")
        terminal.type("/nonsense")
        terminal.see(r"There is no /nonsense: /help tells what there is\..*>>> ")
        terminal.type("/help")
        terminal.see(r"/system \[TEXT\].*>>> ")
        terminal.type("/model house-chat")
        terminal.see(">>> ")
        terminal.type("/system one two three")
        terminal.see(">>> ")
        terminal.type("four")
        terminal.see(r"\n4 tokens in, .*>>> ")
