"""On which line a key stands."""

import tomllib

from hypothesis import given
from hypothesis import strategies as st

from foz.config.lines import nearest, places

TEXT = '''\
top = 1
"quoted key".inner = 2

[server] # here
port = 1
note = """
port = 2
[fake]
"""
limits.deep = 3

[[provider]]
name = "a"
headers = { x = "y" }
[provider.timeouts]
idle = 3

[[provider]]
targets = [
  "one",
  { provider = "two" },
]
name = "b"
[provider.timeouts]
idle = 4
'''


def test_each_key_has_its_line() -> None:
    """Headers, rows, sub-tables of rows, dotted and quoted keys are found; text in long strings is not."""
    tomllib.loads(TEXT)
    found = places(TEXT)

    assert found["top",] == 1
    assert found["quoted key", "inner"] == 2
    assert found["server", "port"] == 5
    assert found["server", "limits", "deep"] == 10
    assert ("fake",) not in found
    assert found["provider", 0, "timeouts", "idle"] == 16
    assert found["provider", 1] == 18
    assert found["provider", 1, "name"] == 23
    assert found["provider", 1, "timeouts", "idle"] == 25


def test_what_has_no_line_is_found_at_what_holds_it() -> None:
    """An element of a list and a key of an inline table are at their key, a missing key at its table."""
    found = places(TEXT)

    assert nearest(found, ("provider", 1, "targets", 1, "provider")) == 19
    assert nearest(found, ("provider", 0, "headers", "x")) == 14
    assert nearest(found, ("provider", 1, "base_url")) == 18
    assert nearest(found, ("nowhere",)) is None


keys = st.text("abcdefgh_-", min_size=1, max_size=8)


@given(st.dictionaries(keys, st.dictionaries(keys, st.integers(), max_size=4), max_size=5))
def test_every_key_of_plain_tables_is_found(tables: dict[str, dict[str, int]]) -> None:
    """Of any tables of plain keys, each key's line is the one that assigns it."""
    text = "".join(
        f"[{name}]\n" + "".join(f"{key} = {n}\n" for key, n in table.items()) for name, table in tables.items()
    )
    rows, found = text.split("\n"), places(text)

    for name, table in tables.items():
        for key, number in table.items():
            assert rows[found[name, key] - 1] == f"{key} = {number}"
