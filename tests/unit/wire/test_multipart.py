"""Forms with files: read whatever way they are cut, bounded, and never without end."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from foz.wire.multipart import Closed, Data, Frame, Malformed, Opened, Reader, boundary_of, is_form

NAMES = st.text("abc[]-_ç", min_size=1, max_size=12)
BYTES = st.binary(max_size=200) | st.lists(st.sampled_from([b"\r\n", b"--", b"cut", b"-", b"\r", b"x"])).map(b"".join)


def written(parts: list[tuple[str, str | None, bytes]], boundary: bytes = b"cut") -> bytes:
    said = b""
    for name, filename, data in parts:
        named = "" if filename is None else f'; filename="{filename}"'
        said += b'--%s\r\nContent-Disposition: form-data; name="%s"%s\r\n\r\n%s\r\n' % (
            boundary,
            name.encode(),
            named.encode(),
            data,
        )
    return said + b"--%s--\r\n" % boundary


def gathered(frames: list[Frame]) -> list[tuple[str, str | None, bytes]]:
    parts: list[tuple[str, str | None, bytes]] = []
    for frame in frames:
        match frame:
            case Opened(name, filename):
                parts.append((name, filename, b""))
            case Data(data):
                parts[-1] = (*parts[-1][:2], parts[-1][2] + data)
            case Closed():
                continue
    return parts


@given(st.lists(st.tuples(NAMES, st.none() | NAMES, BYTES), min_size=1, max_size=5), st.integers(1, 40))
def test_a_form_is_read_however_it_is_cut(parts: list[tuple[str, str | None, bytes]], size: int) -> None:
    """Names, file names and bytes of every part arrive as they were written, in pieces of any size."""
    parts = [(name, filename, data.replace(b"\r\n--cut", b"")) for name, filename, data in parts]
    body = written(parts)
    reader = Reader(b"cut")
    frames = [frame for at in range(0, len(body), size) for frame in reader.feed(body[at : at + size])]
    reader.close()

    assert gathered(frames) == parts


@given(st.binary(max_size=400), st.integers(1, 50))
def test_bytes_that_are_no_form_are_refused_or_read(body: bytes, size: int) -> None:
    """Whatever comes, the reader reads it or says Malformed; nothing else is raised."""
    reader = Reader(b"cut")
    try:
        for at in range(0, len(body), size):
            reader.feed(b"--cut\r\n"[: 7 if at == 0 else 0] + body[at : at + size])
        reader.close()
    except Malformed:
        return
    assert body.startswith(b"--cut") or b"--cut--" in body or b"--" in body


@pytest.mark.parametrize("cut", range(1, 40))
def test_a_form_without_its_end_is_refused(cut: int) -> None:
    """A form that breaks off anywhere before its last boundary has no end."""
    body = written([("file", "a.txt", b"words of it")])
    reader = Reader(b"cut")
    reader.feed(body[: -cut - 2])

    with pytest.raises(Malformed, match="ends before"):
        reader.close()


@pytest.mark.parametrize(
    "content_type",
    [
        None,
        b"",
        b"application/json",
        b"multipart/form-data",
        b"multipart/form-data; boundary=",
        b"multipart/form-data; boundary=" + b"x" * 71,
        b'multipart/form-data; boundary="ends with a space "',
        b"multipart/form-data; boundary=" + b"x" * 5000,
    ],
)
def test_a_boundary_must_be_one(content_type: bytes | None) -> None:
    """A content type of another kind, or without a boundary of RFC 2046, is refused."""
    with pytest.raises(Malformed):
        boundary_of(content_type)


def test_a_boundary_may_be_quoted() -> None:
    """Parameters in any order, quotes and capitals are understood."""
    assert boundary_of(b'Multipart/Form-Data; charset=utf-8; boundary="a b=c"') == b"a b=c"
    assert is_form(b"MULTIPART/form-data;boundary=x")
    assert not is_form(b"multipart/mixed")


@pytest.mark.parametrize(
    ("head", "why"),
    [
        (b'Content-Disposition: form-data; name="a"\r\n' * 9, "broken"),
        (b"X-A: " + b"b" * 5000 + b"\r\n", "broken"),
        (b"Content-Type: text/plain\r\n", "does not say its name"),
        (b'Content-Disposition: form-data; name=""\r\n', "1 to 128"),
        (b'Content-Disposition: form-data; name="%s"\r\n' % (b"a" * 129), "1 to 128"),
        (b'Content-Disposition: form-data; name="a\x01"\r\n', "control"),
        (b'Content-Disposition: form-data; name="\xff"\r\n', "UTF-8"),
        (b'Content-Disposition: form-data; name="a"\r\nContent-Transfer-Encoding: base64\r\n', "encoded"),
    ],
)
def test_what_a_part_says_of_itself_is_bounded(head: bytes, why: str) -> None:
    """Too many headers, too long ones, and names that are none are refused, and the message says which."""
    with pytest.raises(Malformed, match=why):
        Reader(b"cut").feed(b"--cut\r\n" + head + b"\r\nx\r\n--cut--\r\n")


def test_parts_are_counted() -> None:
    """A form of more parts than the bound is refused while it is read."""
    with pytest.raises(Malformed, match="more than 128 parts"):
        Reader(b"cut").feed(written([(f"f{at}", None, b"") for at in range(200)]))
