"""Secrets are cut out of text, by what was registered and by what they look like."""

import timeit
from functools import partial

import pytest
from hypothesis import given
from hypothesis import strategies as st

from foz.telemetry.redact import MARK, SHORTEST, Redactor

BARE = Redactor()


@pytest.mark.parametrize(
    ("text", "clean"),
    [
        ("key sk-proj-abcDEF0123456789", f"key {MARK}"),
        ("sk-ant-api03-AbCdEfGhIjKlMnOp_-qr", MARK),
        ("nvapi-0123456789abcdef-XYZ", MARK),
        ("hf_AbCdEfGhIjKlMnOpQr", MARK),
        ("gsk_0123456789abcdef", MARK),
        ("foz_0123456789abcdefghij", MARK),
        ("xai-0123456789abcdef", MARK),
        ("AIzaSyA0123456789abcdef", MARK),
        ("Authorization: Bearer abcdefgh", f"Authorization: {MARK}"),
        ("authorization: Basic dXNlcjpwYXNz", f"authorization: {MARK}"),
        ("{'Authorization': 'Bearer abc.def-ghi'}", f"{{'Authorization': '{MARK}'}}"),
        ('{"x-api-key":"plain"}', f'{{"x-api-key":"{MARK}"}}'),
        ("(b'authorization', b'Bearer abcdefgh')", f"(b'authorization', b'{MARK}')"),
        ("(b'x-api-key', b'plain')", f"(b'x-api-key', b'{MARK}')"),
        ("API_KEY=plain next", f"API_KEY={MARK} next"),
        ("said Bearer abcdefgh12 twice", f"said Bearer {MARK} twice"),
        ("redis://user:pass@host:6379/0", f"redis://{MARK}@host:6379/0"),
        ("amqp://guest:guest@host", f"amqp://{MARK}@host"),
        ("https_proxy http://u:p@proxy:3128 refused", f"https_proxy http://{MARK}@proxy:3128 refused"),
    ],
)
def test_what_looks_like_a_key_is_cut_out(text: str, clean: str) -> None:
    """Known shapes, headers and addresses with a password lose their secret and keep the rest."""
    assert BARE(text) == clean


@pytest.mark.parametrize(
    "text",
    [
        "foz_time_to_first_token_seconds_bucket",
        "foz_requests_total",
        "a task-force of ask-me-anything people",
        "the bearer of news",
        "model openai/gpt-oss-20b at http://127.0.0.1:8000/v1/models?x=a@b",
        "input_tokens=12 output_tokens=300",
        "hf_chat and hf_hub",
        "entry 0199b7c2-3f5a-7d31-9c1e-0123456789ab settled",
    ],
)
def test_plain_words_are_left_alone(text: str) -> None:
    """Names, ids, counts and addresses without a password are not secrets."""
    assert BARE(text) == text


@given(st.text(min_size=SHORTEST), st.text(), st.text())
def test_a_registered_secret_is_gone(secret: str, before: str, after: str) -> None:
    """Whatever stands around it, also overlapping itself, a registered secret is not in the result."""
    redact = Redactor([secret])

    assert secret not in redact(before + secret + after)
    assert secret not in redact(before + secret[: len(secret) // 2] + secret + secret[len(secret) // 2 :] + after)


@given(
    st.lists(st.text(st.sampled_from("ab*"), min_size=SHORTEST, max_size=8), min_size=1),
    st.text(st.sampled_from("ab*")),
)
def test_secrets_within_secrets_are_gone(secrets: list[str], text: str) -> None:
    """Secrets that hold each other, or the mark itself, are all cut out."""
    clean = Redactor(secrets)(text + "".join(secrets) + text)

    assert [secret for secret in secrets if secret in clean] == []


def test_a_secret_too_short_is_refused() -> None:
    """What would blot out half the log is not taken for a secret."""
    with pytest.raises(ValueError, match="at least 4 characters"):
        Redactor(["abc"])


def test_hostile_text_takes_no_time() -> None:
    """A megabyte of half-made keys is read in less than two seconds."""
    redact = Redactor(["abcdefgh"])
    for piece in ("sk-", "sk-a-", "authorization ", "authorization:", "x://", "a" * 30, " ", "bearer ", "abcdefg", "-"):
        text = piece * (200_000 // len(piece))
        assert timeit.timeit(partial(redact, text), number=1) < 2
