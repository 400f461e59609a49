"""Downloads: whole or not there, resumed where they were begun, and never a byte that was not checked."""

import asyncio
import os
import random
import resource
from collections.abc import Sequence
from pathlib import Path

import pytest

from foz.canon.fault import Cut, Down, Fault, Garbled, Limited, NoCapacity, NotFound, Refused, Timeout
from foz.net.clock import SystemClock
from foz.ports.upstream import Upstream
from foz.ports.weights import File
from foz.runtime.shelf import partial
from foz.runtime.shelf.fetching import Fetcher, Spoilt, check_room
from foz.runtime.shelf.opening import Source
from foz.runtime.shelf.partial import Mark, Partial
from foz.testing import gguf
from foz.testing.hub.files import Mischief
from tests.unit.runtime.hubs import HASTY, Told, fetch, outside, run, serving

MB = 1_000_000
SIZE = 3 * MB
DATA = random.Random(5).randbytes(SIZE)


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    """A folder with a file to sell."""
    folder = tmp_path / "shop"
    folder.mkdir()
    (folder / "big.bin").write_bytes(DATA)
    gguf.write(folder / "small.gguf", gguf.SMALL)
    return folder


def bought(tmp_path: Path) -> Path:
    return tmp_path / "models" / "big.bin"


def left(tmp_path: Path) -> list[str]:
    """What is in the folder of models."""
    folder = tmp_path / "models"
    return sorted(path.name for path in folder.iterdir()) if folder.exists() else []


def tried(
    shop: Path, tmp_path: Path, mischief: Sequence[Mischief], *, sized: bool = True, summed: bool = True
) -> tuple[Told, list[str]]:
    """One download under such conditions; what was told, and which ranges were asked for."""

    async def main() -> tuple[Told, list[str]]:
        async with serving(shop) as server:
            server.mischief.extend(mischief)
            told = Told()
            await fetch(server, server.wanted("big.bin", sized=sized, summed=summed), bought(tmp_path), told)
            return told, [one.headers.get("range", "") for one in server.asked]

    return run(main())


MENDED: dict[str, list[Mischief]] = {
    "nothing": [],
    "cut": [Mischief("cut", at=MB)],
    "cut again and again": [Mischief("cut", at=100_000)] * 12,
    "stalled": [Mischief("stall", at=MB)],
    "stalled before the first byte": [Mischief("stall")],
    "a trickle": [Mischief("trickle", at=MB)],
    "closed before the head": [Mischief("silent")],
    "a length that lies": [Mischief("cut", at=MB), Mischief("cut", at=MB)],
    "a range that is ignored": [Mischief("cut", at=MB), Mischief("whole")],
    "another range": [Mischief("cut", at=MB), Mischief("other")],
    "an error of the server": [Mischief("status", status=500), Mischief("status", status=503)],
    "asked to wait": [Mischief("status", status=429, headers={"Retry-After": "0"})],
    "no validator": [Mischief("cut", at=MB)],
}


@pytest.mark.parametrize("summed", [True, False], ids=["checksum", "no checksum"])
@pytest.mark.parametrize("case", MENDED)
def test_a_download_ends_whole_whatever_happens_on_its_way(shop: Path, tmp_path: Path, case: str, summed: bool) -> None:
    """The file is there byte for byte, nothing beside it, and what was told only rose, to the last byte."""
    told, _ = tried(shop, tmp_path, MENDED[case], summed=summed)

    assert bought(tmp_path).read_bytes() == DATA
    assert left(tmp_path) == ["big.bin"]
    assert told.rising
    assert told.figures[-1] == (SIZE, SIZE)


def test_what_has_come_is_not_fetched_again(shop: Path, tmp_path: Path) -> None:
    """After a cut only the rest is asked for, under the condition that the file is the same."""

    async def main() -> None:
        async with serving(shop) as server:
            server.mischief.append(Mischief("cut", at=MB))
            await fetch(server, server.wanted("big.bin"), bought(tmp_path))
            first, second = server.asked

            assert "range" not in first.headers
            assert 0 < int(second.headers["range"].removeprefix("bytes=").removesuffix("-")) <= MB
            assert second.headers["if-range"].startswith('"')
            assert second.headers["accept-encoding"] == "identity"

    run(main())


def test_a_download_that_was_given_up_is_resumed_by_the_next(shop: Path, tmp_path: Path) -> None:
    """A part that one process left is taken up by another, which tells it from the beginning."""
    with pytest.raises(Timeout):
        tried(shop, tmp_path, [Mischief("cut", at=MB), *[Mischief("stall")] * 3])
    assert left(tmp_path) == ["big.bin.partial", "big.bin.partial.json"]
    there = partial.coming(bought(tmp_path))

    told, ranges = tried(shop, tmp_path, [])

    assert there > 0
    assert ranges == [f"bytes={there}-"]
    assert told.figures[0][0] == there
    assert bought(tmp_path).read_bytes() == DATA


@pytest.mark.parametrize("sized", [True, False], ids=["size", "no size"])
def test_a_file_that_changes_midway_is_begun_again(shop: Path, tmp_path: Path, sized: bool) -> None:
    """Where nobody promised a checksum, a file that becomes another one is fetched as that one, not stitched."""
    told, ranges = tried(shop, tmp_path, [Mischief("change", at=MB)], sized=sized, summed=False)

    assert bought(tmp_path).read_bytes() == (shop / "big.bin").read_bytes() != DATA
    assert ranges[0] == ""
    assert told.rising


def test_a_file_that_is_another_than_promised_is_taken_away(shop: Path, tmp_path: Path) -> None:
    """A file that changes midway and so has another checksum than was promised leaves nothing."""
    with pytest.raises(Garbled, match="checksum"):
        tried(shop, tmp_path, [Mischief("change", at=MB)])

    assert left(tmp_path) == []


def test_a_rest_that_does_not_fit_is_fetched_from_the_beginning(shop: Path, tmp_path: Path) -> None:
    """A part that was damaged on the disk is found out by the checksum, and the file is fetched once more, whole."""
    with pytest.raises(Timeout):
        tried(shop, tmp_path, [Mischief("cut", at=MB), *[Mischief("stall")] * 3])
    part = bought(tmp_path).with_name("big.bin.partial")
    with part.open("r+b") as opened:
        opened.write(b"\0\0\0\0")

    told, ranges = tried(shop, tmp_path, [])

    assert bought(tmp_path).read_bytes() == DATA
    assert ranges[1] == ""
    assert told.rising


def test_a_part_of_another_file_is_not_used(shop: Path, tmp_path: Path) -> None:
    """What lies there of another address, without a note or longer than the file is begun again."""
    final = bought(tmp_path)
    for mark in (None, Mark("http://elsewhere/x", SIZE), "garbage"):
        final.parent.mkdir(exist_ok=True)
        final.with_name("big.bin.partial").write_bytes(b"x" * (SIZE + 5))
        note = final.with_name("big.bin.partial.json")
        note.write_bytes(b"{not json" if mark == "garbage" else b'{"url":"http://elsewhere/x","size":3000000}')
        if mark is None:
            note.unlink()

        _, ranges = tried(shop, tmp_path, [])

        assert ranges == [""]
        assert final.read_bytes() == DATA
        final.unlink()


LOST: dict[str, tuple[list[Mischief], type[Fault], str]] = {
    "a wrong byte": ([Mischief("flip", at=2 * MB)], Garbled, "another checksum"),
    "more than was said": ([Mischief("long")], Garbled, "bytes at its source|more of"),
    "packed": ([Mischief("packed")] * 3, Garbled, "packed"),
    "not there": ([Mischief("status", status=404)], NotFound, "404"),
    "not for us": ([Mischief("status", status=401)], Refused, "token"),
    "gated": ([Mischief("status", status=403)], Refused, "licence"),
    "a web page": ([Mischief("page")], Garbled, "bytes at its source"),
    "no end of errors": ([Mischief("status", status=502)] * 3, Down, "502"),
    "no end of waiting": ([Mischief("status", status=429)] * 3, Limited, "429"),
    "no end of cuts": ([Mischief("cut", at=10)] * 3, Cut, "middle"),
    "no end of silence": ([Mischief("silent")] * 3, Down, "closed"),
    "no end of stalls": ([Mischief("stall", at=10)] * 3, Timeout, "in time"),
    "in circles": ([Mischief("moved", to="/big.bin")] * 18, Garbled, "one place to the next"),
    "to nowhere": ([Mischief("moved", to="http://[")] * 3, Garbled, "none"),
    "to a file": ([Mischief("moved", to="file:///etc/passwd")] * 3, Garbled, "none"),
    "to a line break": ([Mischief("moved", to="/a%0d%0a b\tc")] * 3, Garbled, "none"),
}


@pytest.mark.parametrize("case", LOST)
def test_what_cannot_be_had_is_said_clearly(shop: Path, tmp_path: Path, case: str) -> None:
    """Each of these ends with a fault that says what happened; no file is there, and only what can be resumed stays."""
    mischief, fault, words = LOST[case]

    with pytest.raises(fault, match=words):
        tried(shop, tmp_path, mischief)

    kept = left(tmp_path)
    assert "big.bin" not in kept
    assert kept == [] or partial.coming(bought(tmp_path)) > 0


def test_a_file_that_no_engine_may_see_is_not_fetched_to_its_end(tmp_path: Path) -> None:
    """A GGUF file whose header is wrong is refused after its first bytes, and nothing of it stays."""
    shop = tmp_path / "shop"
    shop.mkdir()
    (shop / "evil.gguf").write_bytes(b"GGUF\x03\0\0\0" + b"\xff" * 16 + bytes(40 * MB))

    async def main() -> None:
        async with serving(shop, pace=0.001) as server:
            file = server.wanted("evil.gguf")
            told = Told()
            with pytest.raises(Spoilt, match="promises 18446744073709551615 tensors"):
                await fetch(server, file, tmp_path / "models" / "evil.gguf", told)
            assert not told.figures or told.figures[-1][0] < 20 * MB

    run(main())
    assert left(tmp_path) == []


def test_a_good_model_is_fetched(shop: Path, tmp_path: Path) -> None:
    """A GGUF file whose header is right comes whole."""

    async def main() -> None:
        async with serving(shop) as server:
            await fetch(server, server.wanted("small.gguf"), tmp_path / "models" / "small.gguf")

    run(main())
    assert (tmp_path / "models" / "small.gguf").read_bytes() == (shop / "small.gguf").read_bytes()


def test_two_who_want_one_file_fetch_it_once(shop: Path, tmp_path: Path) -> None:
    """Of five who ask at once one fetches; the others wait, hear how far it is, and find the file."""

    async def main() -> None:
        async with serving(shop, pace=0.005) as server:
            told = [Told() for _ in range(5)]
            file = server.wanted("big.bin")
            await asyncio.gather(*(fetch(server, file, bought(tmp_path), one) for one in told))

            assert [one.path for one in server.asked] == ["/big.bin"]
            for one in told:
                assert one.rising
                assert one.figures[-1] == (SIZE, SIZE)
                assert len(one.figures) > 1

    run(main())
    assert left(tmp_path) == ["big.bin"]


def test_the_second_goes_on_where_the_first_was_stopped(shop: Path, tmp_path: Path) -> None:
    """When who fetches is cancelled, who waits takes the part up and asks only for the rest."""

    async def main() -> None:
        async with serving(shop, pace=0.005) as server:
            file = server.wanted("big.bin")
            told = Told(MB // 2)
            first = asyncio.ensure_future(fetch(server, file, bought(tmp_path), told))
            await told.enough.wait()
            second = asyncio.ensure_future(fetch(server, file, bought(tmp_path)))
            first.cancel()
            await asyncio.wait([first])
            await second

            assert first.cancelled()
            assert len(server.asked) == 2
            assert int(server.asked[1].headers["range"][6:-1]) > MB // 4

    run(main())
    assert bought(tmp_path).read_bytes() == DATA


def test_a_cancelled_download_ends_at_once_and_leaves_its_part(shop: Path, tmp_path: Path) -> None:
    """After a cancellation the server is not asked any more, the part stays, and its lock is free."""

    async def main() -> None:
        async with serving(shop, pace=0.02) as server:
            told = Told()
            task = asyncio.ensure_future(fetch(server, server.wanted("big.bin"), bought(tmp_path), told))
            await told.enough.wait()
            task.cancel()
            await asyncio.wait([task])
            assert task.cancelled()
            await server.idle.wait()

    run(main())
    assert left(tmp_path) == ["big.bin.partial", "big.bin.partial.json"]
    held = Partial.hold(bought(tmp_path))
    assert held is not None
    assert held.size > 0
    held.close()


def test_no_room_is_said_before_a_byte_is_asked_for(shop: Path, tmp_path: Path) -> None:
    """A file that the disk cannot hold is refused with the sum, without asking the server, and nothing is left."""

    async def main() -> None:
        async with serving(shop) as server:
            file = File("big.bin", 2**60, None, f"{server.url}/big.bin")
            with pytest.raises(NoCapacity, match=str(2**60)):
                await fetch(server, file, bought(tmp_path))
            assert server.asked == []

    run(main())
    assert left(tmp_path) == []


def test_what_should_stay_free_stays_free(tmp_path: Path) -> None:
    """The margin counts: a file that fits by itself but not with it is refused; of small ones a twentieth is enough."""
    stat = os.statvfs(tmp_path)
    free = stat.f_bavail * stat.f_frsize

    check_room(tmp_path, 10 * MB, 2**62, "small")
    with pytest.raises(NoCapacity, match="should stay free"):
        check_room(tmp_path, int(free * 0.99), 2**62, "large")


def test_a_disk_that_fills_up_is_given_back(shop: Path, tmp_path: Path) -> None:
    """When the disk takes no more in the middle of a file, what had come is taken away and the fault says so."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (MB, before[1]))
    try:
        with pytest.raises(NoCapacity, match="the disk is full"):
            tried(shop, tmp_path, [])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)

    assert left(tmp_path) == []


def test_a_file_that_is_there_is_not_asked_for(shop: Path, tmp_path: Path) -> None:
    """A whole file of the right size is taken as it is; one of another size is fetched anew."""
    tried(shop, tmp_path, [])
    told, ranges = tried(shop, tmp_path, [])
    assert (ranges, told.figures) == ([], [(SIZE, SIZE)])

    bought(tmp_path).write_bytes(b"short")
    _, ranges = tried(shop, tmp_path, [])
    assert ranges == [""]
    assert bought(tmp_path).read_bytes() == DATA


def test_a_link_in_the_place_of_the_part_is_not_followed(shop: Path, tmp_path: Path) -> None:
    """A symbolic link that waits where the part would be is not written through."""
    victim = tmp_path / "victim"
    victim.write_bytes(b"precious")
    (tmp_path / "models").mkdir()
    bought(tmp_path).with_name("big.bin.partial").symlink_to(victim)

    with pytest.raises(OSError, match="symbolic links"):
        tried(shop, tmp_path, [])
    assert victim.read_bytes() == b"precious"


def test_secrets_go_to_their_server_only(shop: Path, tmp_path: Path) -> None:
    """A redirect to another server gets the file's request without the token; neither fault nor repr shows it."""

    async def main() -> None:
        async with serving(shop) as storage, serving(shop) as hub:
            hub.mischief.append(Mischief("moved", to=f"http://localhost:{storage.port}/big.bin"))
            reach = outside()
            source = Source(hub.url, own=True, headers=((b"authorization", b"Bearer hf_verysecret"),))
            assert "hf_verysecret" not in repr(source)
            fetcher = Fetcher(reach, SystemClock(), HASTY)
            await fetcher.fetch(source, hub.wanted("big.bin"), bought(tmp_path), Told())
            await reach.close()

            assert hub.asked[0].headers["authorization"] == "Bearer hf_verysecret"
            assert "authorization" not in storage.asked[0].headers

    run(main())
    assert bought(tmp_path).read_bytes() == DATA


@pytest.mark.parametrize(
    "to", ["http://localhost:{}/big.bin", "http://127.0.0.1:{}/big.bin", "http://169.254.169.254/x"]
)
def test_a_public_source_cannot_send_inside(shop: Path, tmp_path: Path, to: str) -> None:
    """A redirect of a public hub to an address of our own network is refused, and nothing there is asked."""

    async def main() -> None:
        async with serving(shop) as inside, serving(shop) as hub:
            hub.mischief.append(Mischief("moved", to=to.format(inside.port)))
            reach, named = outside(), outside()

            def as_if_public(origin: str, *, via: str) -> Upstream:
                return named(origin, via=via) if origin == hub.url else reach(origin, via="")

            fetcher = Fetcher(as_if_public, SystemClock(), HASTY)
            with pytest.raises(Refused, match="not public"):
                await fetcher.fetch(Source(hub.url, own=True), hub.wanted("big.bin"), bought(tmp_path), Told())
            await reach.close()
            await named.close()
            assert inside.asked == []

    run(main())
    assert left(tmp_path) == []


def test_of_a_public_source_nothing_inside_is_asked(shop: Path, tmp_path: Path) -> None:
    """A source that nobody named as their own must have a public address, by name as well as by number."""

    async def main() -> None:
        async with serving(shop) as server:
            for host in ("127.0.0.1", "localhost", "[::1]", "[::ffff:127.0.0.1]", "0.0.0.0", "10.0.0.8", "127.1"):
                url = f"http://{host}:{server.port}"
                reach = outside()
                fetcher = Fetcher(reach, SystemClock(), HASTY)
                file = File("big.bin", SIZE, None, f"{url}/big.bin")
                with pytest.raises((Refused, Down)):
                    await fetcher.fetch(Source(url), file, bought(tmp_path), Told())
                await reach.close()
            assert server.asked == []

    run(main())
