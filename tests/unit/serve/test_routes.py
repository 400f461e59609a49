"""The route table: what is found, what is taken for a name, and what is refused."""

import timeit
from functools import partial
from typing import get_args
from urllib.parse import quote

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from foz.ports.skin import Action, Route
from foz.serve.http.routes import MAX_PARAMETER, NOWHERE, Found, Missed, Router, Table

ACTIONS: tuple[Action, ...] = get_args(Action)


def route(method: str, path: str, skin: str = "openai") -> Route:
    return Route(method, path, skin, ACTIONS[0], summary="a path")


CHAT = route("POST", "/v1/chat/completions")
LEGACY = route("POST", "/v1/completions")
MODELS = route("GET", "/v1/models")
MODEL = route("GET", "/v1/models/{model}")
HF_CHAT = route("POST", "/models/{model}/chat/completions", "hf_chat")
HF_LEGACY = route("POST", "/models/{model}/completions", "hf_chat")
HF_MODEL = route("GET", "/models/{model}", "hf_chat")
STATUS = route("GET", "/chat/status/{job_id}", "nemotron")
SESSION = route("DELETE", "/genai/{agent}/session/{id}", "oci_proxy")
ALL = (CHAT, LEGACY, MODELS, MODEL, HF_MODEL, HF_LEGACY, HF_CHAT, STATUS, SESSION)
ROUTER = Router(ALL, reserved=["/models/local"])


def found(method: bytes, path: bytes) -> Found:
    answer = ROUTER.find(method, path)
    assert isinstance(answer, Found), answer
    return answer


def missed(method: bytes, path: bytes) -> Missed:
    answer = ROUTER.find(method, path)
    assert isinstance(answer, Missed), answer
    return answer


def test_a_fixed_path_is_found_by_its_method() -> None:
    """Each fixed path gives its own route."""
    assert found(b"POST", b"/v1/chat/completions") == Found(CHAT)
    assert found(b"GET", b"/v1/models") == Found(MODELS)


@pytest.mark.parametrize("path", [b"/v1/chat/completions/", b"/v1/models/a/b/"])
def test_one_slash_at_the_end_is_ignored(path: bytes) -> None:
    """A path with one slash more is the same path."""
    method = b"GET" if b"models" in path else b"POST"

    assert ROUTER.find(method, path) == ROUTER.find(method, path[:-1])


@pytest.mark.parametrize(
    "path",
    [
        b"",
        b"/",
        b"//",
        b"*",
        b"/v1",
        b"/v1/chat",
        b"//v1/models",
        b"/v1//models",
        b"/v1/models//",
        b"/V1/models",
        b"/v1/chat%2Fcompletions",
        b"/v1/chat/completions//",
        b"/v1/x/../models",
        b"/chat/status/a/b",
        b"/chat/status/",
        b"/genai/a/session/",
        b"/v1/models\n",
    ],
)
def test_what_is_not_in_the_table_is_nowhere(path: bytes) -> None:
    """A path that no route names is 404; nothing is normalised into one."""
    assert missed(b"GET", path) is NOWHERE


@pytest.mark.parametrize(
    ("taken", "name"),
    [
        (b"gpt-5", "gpt-5"),
        (b"microsoft/DialoGPT-medium", "microsoft/DialoGPT-medium"),
        (b"microsoft%2FDialoGPT-medium", "microsoft/DialoGPT-medium"),
        (b"llama3.2:1b", "llama3.2:1b"),
        (b"llama3.2%3a1b", "llama3.2:1b"),
        (b"a+b", "a+b"),
        (b"a%20b", "a b"),
        (b"100%25", "100%"),
        (b"..", ".."),
        (b"../../etc/passwd", "../../etc/passwd"),
        (b"%2e%2e%2fv1", "../v1"),
        ("modèle".encode(), "modèle"),
        (b"%E6%A8%A1%E5%9E%8B", "模型"),
        (b"a/chat/completions", "a/chat/completions"),
        (b"x%252F", "x%2F"),
    ],
)
def test_a_model_takes_the_rest_and_is_decoded_once(taken: bytes, name: str) -> None:
    """`{model}` takes slashes and colons, plain or encoded, and `..` stays text."""
    assert found(b"GET", b"/v1/models/" + taken) == Found(MODEL, name)


@pytest.mark.parametrize(
    ("taken", "reason"),
    [
        (b"%", "hexadecimal"),
        (b"a%2", "hexadecimal"),
        (b"a%zz", "hexadecimal"),
        (b"%00", "control"),
        (b"a\x00b", "control"),
        (b"a%0Ab", "control"),
        (b"a%0d%0aX-Evil:1", "control"),
        (b"%7F", "control"),
        (b"%C2%85", "control"),
        (b"%ff", "UTF-8"),
        (b"%C0%AF", "UTF-8"),
        (b"%ED%A0%80", "UTF-8"),
        (b"x" * (MAX_PARAMETER + 1), "longer"),
    ],
)
def test_a_broken_name_is_refused_with_its_reason(taken: bytes, reason: str) -> None:
    """Bad escapes, bad UTF-8, control characters and endless names are 400."""
    answer = missed(b"GET", b"/v1/models/" + taken)

    assert answer.status == 400
    assert reason in answer.message


def test_the_longest_known_suffix_wins() -> None:
    """`/chat/completions` is seen before `/completions`, and both before a bare id."""
    assert found(b"POST", b"/models/a/b/chat/completions") == Found(HF_CHAT, "a/b")
    assert found(b"POST", b"/models/a/b/completions") == Found(HF_LEGACY, "a/b")
    assert found(b"GET", b"/models/a/b/chat") == Found(HF_MODEL, "a/b/chat")
    assert found(b"GET", b"/models/a%2Fchat%2Fcompletions") == Found(HF_MODEL, "a/chat/completions")


def test_the_suffix_decides_before_the_method() -> None:
    """A known suffix with another method is 405, not a model that ends in it."""
    assert missed(b"GET", b"/models/a/chat/completions").status == 405


@pytest.mark.parametrize("path", [b"/models/local", b"/models/local/", b"/models/local/deploy", b"/models/local/a/b"])
def test_a_reserved_path_is_never_an_id(path: bytes) -> None:
    """What is under a reserved path is left to the control plane, by any method."""
    assert missed(b"GET", path) is NOWHERE
    assert missed(b"OPTIONS", path) is NOWHERE


def test_a_name_that_only_begins_like_a_reserved_one_is_an_id() -> None:
    """`/models/local-llama` is an id."""
    assert found(b"GET", b"/models/local-llama").model == "local-llama"


def test_other_parameters_take_one_segment_each() -> None:
    """Parameters that are no model come back in their order, decoded."""
    assert found(b"GET", b"/chat/status/0199%2D7") == Found(STATUS, rest=("0199-7",))
    assert found(b"DELETE", b"/genai/a%2Fb/session/s1") == Found(SESSION, rest=("a/b", "s1"))


@pytest.mark.parametrize("path", [b"/v1/models", b"/v1/models/", b"/v1/models/a/b"])
def test_head_is_answered_where_get_is(path: bytes) -> None:
    """HEAD finds the GET route, and is 405 where there is none."""
    assert ROUTER.find(b"HEAD", path) == ROUTER.find(b"GET", path)
    assert missed(b"HEAD", b"/v1/completions").status == 405


@pytest.mark.parametrize(
    ("path", "allow"),
    [
        (b"/v1/chat/completions", b"OPTIONS, POST"),
        (b"/v1/models", b"GET, HEAD, OPTIONS"),
        (b"/v1/models/a/b", b"GET, HEAD, OPTIONS"),
        (b"/genai/a/session/b", b"DELETE, OPTIONS"),
    ],
)
def test_options_and_405_say_what_is_allowed(path: bytes, allow: bytes) -> None:
    """OPTIONS is 204 and a wrong method 405, both with the path's methods."""
    wrong = missed(b"PATCH", path)

    assert missed(b"OPTIONS", path) == Missed(204, allow)
    assert (wrong.status, wrong.allow) == (405, allow)
    assert allow.decode() in wrong.message


def test_methods_are_case_sensitive() -> None:
    """`post` is not POST (RFC 9110, section 9.1)."""
    assert missed(b"post", b"/v1/completions").status == 405


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("/v1/models", "/v1/models"),
        ("/v1/models/{model}", "/v1/models/{model}"),
        ("/chat/{job_id}", "/chat/{id}"),
    ],
)
def test_two_skins_cannot_claim_one_path(first: str, second: str) -> None:
    """The table refuses a second owner and names both."""
    with pytest.raises(ValueError, match="openai and anthropic"):
        Router([route("GET", first), route("GET", second, "anthropic")])


def test_a_path_with_two_models_is_refused() -> None:
    """Nobody could say where the first one ends."""
    with pytest.raises(ValueError, match="twice"):
        Router([route("GET", "/{model}/to/{model}")])


@given(st.text(st.characters(exclude_categories=["Cc", "Cs"]), min_size=1, max_size=60))
def test_every_name_survives_the_path(name: str) -> None:
    """A name that is percent-encoded into a path comes back as it was."""
    assert found(b"GET", b"/v1/models/" + quote(name, safe="").encode()) == Found(MODEL, name)


@given(
    st.sampled_from([b"GET", b"POST", b"OPTIONS", b"X"]), st.binary(max_size=200), st.sampled_from([b"", b"/models/"])
)
def test_any_bytes_get_an_answer(method: bytes, path: bytes, prefix: bytes) -> None:
    """No path makes the router raise."""
    assert isinstance(ROUTER.find(method, prefix + path), Found | Missed)


def test_hostile_paths_take_no_time() -> None:
    """64 kB of near matches are answered within 50 ms each."""
    for hostile in (
        b"/models/" + b"/chat/completion" * 4000,
        b"/genai/" + b"a/session/" * 6000,
        b"/models/" + b"%" * 65536,
    ):
        assert timeit.timeit(partial(ROUTER.find, b"POST", hostile), number=1) < 0.05


def test_the_table_collects_every_face() -> None:
    """Routes and schemas of all skins stand in one table, by skin."""

    class One:
        name = "openai"
        roots: tuple[str, ...] = ("/v1",)
        routes = (CHAT, MODEL)

        def schemas(self) -> dict[str, object]:
            return {"Chat": {"type": "object"}}

    class Two:
        name = "nemotron"
        roots: tuple[str, ...] = ("/chat",)
        routes = (STATUS,)

        def schemas(self) -> dict[str, object]:
            return {}

    table = Table([One(), Two()])

    assert table.routes == (CHAT, MODEL, STATUS)
    assert table.schemas == {"openai": {"Chat": {"type": "object"}}, "nemotron": {}}
    assert table.router.find(b"GET", b"/chat/status/1") == Found(STATUS, rest=("1",))


def test_the_longest_root_says_whose_a_path_is() -> None:
    """A path belongs to the skin of its longest root, at whole segments and with any query; else to nobody."""
    roots = [("/v1", "openai"), ("/v1/files", "oci_proxy"), ("/genai", "oci_proxy")]
    router = Router((), roots=roots)

    for path, skin in {
        b"/v1": "openai", b"/v1/": "openai", b"/v1/nothing?a=/genai": "openai", b"/v1/files/1": "oci_proxy",
        b"/v1/filesystem": "openai", b"/genai?x": "oci_proxy", b"/genais": "", b"/": "", b"": "", b"\xff": "",
    }.items():  # fmt: skip
        assert router.whose(path) == skin


def test_a_route_stands_under_its_skins_root() -> None:
    """A table in which faults at a route would be told in another skin's words is refused."""

    class Astray:
        name = "openai"
        roots: tuple[str, ...] = ("/v2",)
        routes = (CHAT,)

        def schemas(self) -> dict[str, object]:
            return {}

    with pytest.raises(ValueError, match="under no root of the skin openai"):
        Table([Astray()])


def test_a_path_of_two_skins_goes_by_its_header() -> None:
    """Of a path that a second skin has too, only requests that bear its header are its own, whoever came first."""
    listed = msgspec.structs.replace(MODELS, skin="anthropic", header=b"anthropic-version")
    shown = msgspec.structs.replace(MODEL, skin="anthropic", header=b"anthropic-version")
    for routes in ((MODELS, MODEL, listed, shown), (listed, shown, MODELS, MODEL)):
        router = Router(routes)
        for method, path, theirs, plain in (
            (b"GET", b"/v1/models", listed, MODELS),
            (b"HEAD", b"/v1/models/", listed, MODELS),
            (b"GET", b"/v1/models/a/b", shown, MODEL),
        ):
            answer = router.find(method, path)
            assert isinstance(answer, Found)
            assert answer.route is plain
            assert answer.among({b"anthropic-version": b"1"}) == Found(theirs, answer.model)
            assert answer.among({b"accept": b"*/*"}) == Found(plain, answer.model)
