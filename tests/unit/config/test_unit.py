"""The systemd unit, judged by systemd itself: it must understand every line and find it hardened."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from foz.config.unit import MARK, Service, command, unit

SERVICE = Service(
    command=command(sys.executable, ["--config", '/srv/a "b" $HOME %n \\ c/foz.toml']),
    directory=Path("/srv/a b 100%"),
    data=Path("/var/lib/a 'b' %h $x"),
    account="daemon",
    drain=30.0,
    ports=(443,),
)
OWN = structs.replace(SERVICE, account=None, directory=Path("/srv"))
needs_systemd = pytest.mark.skipif(sys.platform != "linux", reason="systemd is Linux's")


def analyzed(folder: Path, service: Service, *words: str) -> subprocess.CompletedProcess[str]:
    """What `systemd-analyze` says of the unit; `scripts/setup.sh test` installs it."""
    path = folder / "foz.service"
    path.write_text(unit(service), encoding="utf-8")
    environment = {**os.environ, "XDG_RUNTIME_DIR": str(folder), "SYSTEMD_COLORS": "0"}
    command = ["systemd-analyze", "--no-pager", *words, str(path)]
    return subprocess.run(command, capture_output=True, text=True, env=environment, timeout=60, check=False)


@needs_systemd
@pytest.mark.parametrize(("service", "words"), [(SERVICE, ()), (OWN, ("--user",))])
def test_systemd_finds_nothing_wrong_with_it(tmp_path: Path, service: Service, words: tuple[str, ...]) -> None:
    """`systemd-analyze verify` has no word to say about the unit, the machine's and a user's own, odd paths and all."""
    said = analyzed(tmp_path, service, *words, "verify")

    assert (said.returncode, said.stdout + said.stderr) == (0, "")


@needs_systemd
def test_the_judge_would_see_a_wrong_line(tmp_path: Path) -> None:
    """A line that systemd does not know is told by the same check, so that its silence means something."""
    (tmp_path / "foz.service").write_text(unit(SERVICE).replace("PrivateTmp=", "PrivateTmpp="))
    environment = {**os.environ, "XDG_RUNTIME_DIR": str(tmp_path)}
    command = ["systemd-analyze", "verify", str(tmp_path / "foz.service")]
    said = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=60, check=False)

    assert "PrivateTmpp" in said.stderr


@needs_systemd
def test_systemd_finds_it_hardened(tmp_path: Path) -> None:
    """Its exposure, as `systemd-analyze security` counts it, is below 3.0 of 10, where a bare unit has 9.6."""
    assert analyzed(tmp_path, SERVICE, "security", "--offline=true", "--threshold=30").returncode == 0


def test_every_word_is_said_as_it_is() -> None:
    """Quotes, blanks, dollars and percents of paths and arguments are escaped, each where it means something."""
    lines = unit(SERVICE).splitlines()

    assert lines[0] == MARK
    assert (
        f'ExecStart="{sys.executable}" "-m" "foz" "serve" "--config" "/srv/a \\"b\\" $$HOME %%n \\\\ c/foz.toml"'
        in lines
    )
    assert "WorkingDirectory=/srv/a b 100%%" in lines
    assert "Environment=\"FOZ_DATA=/var/lib/a 'b' %%h $x\"" in lines
    assert "ReadWritePaths=\"/var/lib/a 'b' %%h $x\"" in lines
    assert "TimeoutStopSec=45" in lines


@given(st.text(min_size=1, max_size=40))
def test_no_path_breaks_out_of_its_line(text: str) -> None:
    """Whatever a path is called, the unit has as many lines as ever, or is refused."""
    expected = len(unit(SERVICE).splitlines())
    try:
        made = unit(structs.replace(SERVICE, directory=Path("/srv") / text.lstrip("/"), command=("/x", text)))
    except ValueError:
        return

    assert len(made.splitlines()) == expected


@pytest.mark.parametrize(
    ("directory", "ports", "home", "capability"),
    [
        ("/srv/foz", (8000,), "yes", ""),
        ("/home/ada/foz", (8000,), "read-only", ""),
        ("/srv/foz", (8000, 443), "yes", "CAP_NET_BIND_SERVICE"),
    ],
)
def test_it_is_given_no_more_than_it_needs(directory: str, ports: tuple[int, ...], home: str, capability: str) -> None:
    """Homes are hidden unless it lives in one, and only a low port brings the one capability."""
    service = structs.replace(SERVICE, directory=Path(directory), ports=ports, command=("/usr/bin/python3",))
    lines = unit(service).splitlines()

    assert f"ProtectHome={home}" in lines
    assert f"CapabilityBoundingSet={capability}" in lines


def test_a_users_own_has_no_account_and_no_mounts() -> None:
    """A user's unit names no account, asks for no mount namespace and starts with the user's session."""
    text = unit(OWN)

    assert "User=" not in text
    assert "Protect" not in text
    assert "WantedBy=default.target" in text
