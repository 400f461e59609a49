"""`foz service` beside a systemctl that writes down what it is told, and the launchers of the older systems."""

import random
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from foz.testing.process import Child, clean_environment, free_port
from foz.testing.raw import RawConnection

LAUNCHERS = Path(__file__).parents[2] / "examples" / "legacy"
SYSTEMCTL = """#!/bin/sh
echo "$*" >> {log}
case "$*" in
*is-system-running*) echo {state} ;;
*show*) echo ActiveState={active}; echo SubState=running; echo MainPID=42; echo UnitFileState=enabled ;;
*"enable nope"*) echo "Unit is masked." >&2; exit 1 ;;
esac
"""


class Machine:
    """A home, and a systemd as far as it can be seen."""

    def __init__(self, folder: Path, state: str = "running", active: str = "active") -> None:
        self.folder = folder
        self.unit = folder / "config/systemd/user/foz.service"
        self.log = folder / "systemctl.log"
        tools = folder / "bin"
        tools.mkdir(exist_ok=True)
        (tools / "systemctl").write_text(SYSTEMCTL.format(log=shlex.quote(str(self.log)), state=state, active=active))
        (tools / "systemctl").chmod(0o755)
        self.environment = clean_environment(
            {
                "HOME": str(folder),
                "XDG_CONFIG_HOME": str(folder / "config"),
                "PATH": f"{tools}:/usr/bin:/bin",
            }
        )

    def run(self, *words: str, path: str | None = None) -> subprocess.CompletedProcess[str]:
        """`foz service` and these words."""
        environment = {**self.environment, **({} if path is None else {"PATH": path})}
        command = [sys.executable, "-m", "foz", "service", *words]
        return subprocess.run(
            command, cwd=self.folder, env=environment, capture_output=True, text=True, timeout=60, check=False
        )

    def told(self) -> list[str]:
        """What systemctl was told to do, without what it was asked."""
        lines = self.log.read_text().splitlines() if self.log.exists() else []
        return [line for line in lines if "is-system-running" not in line and " show " not in line]


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def test_it_is_installed_shown_and_removed(machine: Machine) -> None:
    """Install writes, enables and starts a user's unit, status says that it runs, uninstall removes it; data stays."""
    assert machine.run("status", "--user").returncode == 4
    installed = machine.run("install", "--user", "--port", "5000")
    assert installed.returncode == 0, installed.stderr
    text = machine.unit.read_text()
    shown = machine.run("status", "--user")
    again = machine.run("install", "--user")
    removed = machine.run("uninstall", "--user")

    assert '"-m" "foz" "serve" "--port" "5000"' in text
    assert f"WorkingDirectory={machine.folder}" in text
    assert (shown.returncode, "active (running), process 42, enabled" in shown.stdout) == (0, True)
    assert again.returncode == removed.returncode == 0
    assert not machine.unit.exists()
    assert (machine.folder / ".local/share/foz").is_dir()
    started = ["--user --no-pager daemon-reload", "--user --no-pager enable foz", "--user --no-pager restart foz"]
    stopped = ["--user --no-pager disable --now foz", "--user --no-pager daemon-reload"]
    assert machine.told() == [*started, *started, *stopped]


def test_a_stopped_service_is_told_apart(tmp_path: Path) -> None:
    """Of a service that does not run, status exits with 3 and says where its last words are."""
    machine = Machine(tmp_path, active="failed")
    machine.run("install", "--user")
    shown = machine.run("status", "--user")

    assert shown.returncode == 3
    assert "journalctl --user -u foz" in shown.stdout


@pytest.mark.parametrize(("state", "path"), [("offline", None), ("running", "/nowhere")])
def test_elsewhere_nothing_is_changed_and_it_is_said_what_to_do(tmp_path: Path, state: str, path: str | None) -> None:
    """Where systemd is not, or is not what runs the machine, install fails, writes nothing and shows the command."""
    machine = Machine(tmp_path, state=state)
    said = machine.run("install", "--user", "--port", "5000", path=path)

    assert said.returncode == 1
    assert "systemd" in said.stderr
    assert "Nothing was changed" in said.stderr
    assert f"{sys.executable} -m foz serve --port 5000" in said.stderr
    assert not machine.unit.exists()
    assert machine.told() == []


def test_what_is_not_ours_is_left_alone(machine: Machine) -> None:
    """A unit of the same name that somebody else wrote is neither overwritten nor removed."""
    machine.unit.parent.mkdir(parents=True)
    machine.unit.write_text("[Service]\n")

    for command in ("install", "uninstall"):
        said = machine.run(command, "--user")
        assert said.returncode == 1
        assert "not written by Foz" in said.stderr
    assert machine.unit.read_text() == "[Service]\n"
    assert machine.told() == []


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("install", "--user", "--name", "../x"), "letters, digits"),
        (("install", "--user", "--as", "daemon"), "--as names"),
        (("install", "--system", "--as", "nobody-of-this-name"), "no such account"),
        (("install", "--system", "--as", "root"), "does not run as root"),
        (("install", "--user", "--directory", "missing"), "does not exist"),
        (("install", "--user", "--name", "nope"), "Unit is masked."),
        (("uninstall", "--user"), "is not there"),
    ],
)
def test_what_cannot_be_is_said(machine: Machine, words: tuple[str, ...], said: str) -> None:
    """Wrong names, accounts and places, and what systemctl refuses, are told in a line, without a traceback."""
    found = machine.run(*words)

    assert found.returncode in {1, 2}
    assert said in found.stderr
    assert "Traceback" not in found.stderr


def test_wrong_settings_are_refused_before_anything_is_written(machine: Machine) -> None:
    """A settings file that `foz serve` would refuse is refused now, naming it."""
    (machine.folder / "foz.toml").write_text("[server]\nport = 'x'\n")
    said = machine.run("install", "--user")

    assert said.returncode == 1
    assert "foz.toml" in said.stderr
    assert not machine.unit.exists()


def test_a_unit_can_be_printed_anywhere(machine: Machine) -> None:
    """`--print` writes nothing, asks no systemd, and shows the machine's unit with the account that is named."""
    said = machine.run("install", "--system", "--as", "daemon", "--print", path="/nowhere")

    assert said.returncode == 0, said.stderr
    assert "User=daemon" in said.stdout
    assert "ProtectSystem=strict" in said.stdout
    assert not machine.log.exists()


@pytest.mark.skipif(sys.platform != "linux", reason="systemd is Linux's")
@pytest.mark.parametrize(
    ("words", "manager"),
    [
        (("--user",), ("--user",)),
        (("--system", "--as", "daemon"), ()),
        (("--system", "--as", "daemon", "--port", "443"), ()),
    ],
)
def test_systemd_finds_nothing_wrong_with_what_is_installed(
    machine: Machine, words: tuple[str, ...], manager: tuple[str, ...]
) -> None:
    """`systemd-analyze verify` has no word to say about the unit that the command makes, a user's and the machine's."""
    said = machine.run("install", "--print", *words)
    assert said.returncode == 0, said.stderr
    path = machine.folder / "foz.service"
    path.write_text(said.stdout)
    environment = {**machine.environment, "PATH": "/usr/bin:/bin", "XDG_RUNTIME_DIR": str(machine.folder)}
    command = ["systemd-analyze", *manager, "verify", str(path)]
    found = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)

    assert (found.returncode, found.stdout + found.stderr) == (0, "")


# The launchers.


def healthy(launched: Child, host: str, port: int) -> bool:
    """Whether a gateway answers there, now, and shows its pages."""
    try:
        with RawConnection(port, host=host, deadline=2.0) as connection:
            paths = ("/api/v1/ai/models", "/docs", "/redoc")
            return all(connection.call("GET", path).status == 200 for path in paths)
    except (OSError, EOFError):
        return False


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux answers on all of 127.0.0.0/8")
@pytest.mark.parametrize(("script", "port"), [("main.py", 5000), ("app.py", 8000)])
def test_the_older_systems_programs_start(tmp_path: Path, script: str, port: int) -> None:
    """Seed 001, Execução, and seed 003, Iniciar API: both serve their API, /docs and /redoc on their old ports."""
    host = f"127.{random.randint(1, 250)}.{random.randint(1, 250)}.{random.randint(1, 250)}"
    command = (sys.executable, str(LAUNCHERS / script), "--host", host)
    environment = {"HOME": str(tmp_path), "FOZ_DATA": str(tmp_path / "data")}
    with Child(command, tmp_path, environment) as launched:
        launched.wait_for(lambda: healthy(launched, host, port), f"{host}:{port} to answer")


def test_the_proxys_program_takes_a_port(tmp_path: Path) -> None:
    """Seed 003, Porta Customizada: `app.py --port 9000` serves there."""
    port = free_port()
    environment = {"HOME": str(tmp_path), "FOZ_DATA": str(tmp_path / "data")}
    with Child((sys.executable, str(LAUNCHERS / "app.py"), "--port", str(port)), tmp_path, environment) as launched:
        launched.wait_for(lambda: healthy(launched, "127.0.0.1", port), "the port to answer")


def test_the_launcher_installs_the_service(machine: Machine) -> None:
    """Seed 001, Execução: `launcher.py` makes the service, on port 5000."""
    command = [sys.executable, str(LAUNCHERS / "launcher.py"), "--user"]
    said = subprocess.run(
        command, cwd=machine.folder, env=machine.environment, capture_output=True, text=True, timeout=60, check=False
    )

    assert said.returncode == 0, said.stderr
    assert '"foz" "serve" "--port" "5000"' in machine.unit.read_text()
    assert machine.told()[-1] == "--user --no-pager restart foz"
