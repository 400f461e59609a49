"""Errors of Oracle's API, in every form that they come in, as faults; and its embeddings."""

import msgspec
import pytest

from foz.canon.fault import BadRequest, Down, Fault, Garbled, Limited, Refused, Timeout, Unsupported
from foz.canon.request import EmbedRequest
from foz.canon.usage import Usage
from foz.dialects.oci.embeddings import EmbeddingClient
from foz.dialects.oci.faults import decode_fault
from foz.dialects.oci.telling import Place
from foz.wire.http import Reply

NESTED = rb'{"code":"400","message":"{\"error\":{\"message\":\"no such\",\"param\":\"topK\",\"code\":\"bad_value\"}}"}'
CASES: list[tuple[int, bytes, type[Fault], int, str | None]] = [
    (400, b'{"code":"InvalidParameter","message":"x"}', Refused, 400, "InvalidParameter"),
    (400, b'{"code":"400","message":"x"}', Refused, 400, None),
    (400, NESTED, Refused, 400, "bad_value"),
    (400, b'{"error":{"message":"no such","param":"topK","code":"bad_value"}}', Refused, 400, "bad_value"),
    (400, b'{"code":"LimitExceeded","message":"x"}', Limited, 429, "LimitExceeded"),
    (400, b'{"code":"QuotaExceeded","message":"x"}', Limited, 429, "QuotaExceeded"),
    (401, b'{"code":"NotAuthenticated","message":"x"}', Refused, 502, "NotAuthenticated"),
    (403, b'{"code":"NotAuthorized","message":"x"}', Refused, 502, "NotAuthorized"),
    (404, b'{"code":"NotAuthorizedOrNotFound","message":"x"}', Refused, 404, "NotAuthorizedOrNotFound"),
    (404, b'{"code":"404","message":"Authorization failed or requested resource not found."}', Refused, 404, None),
    (405, b'{"code":"MethodNotAllowed","message":"x"}', Refused, 405, "MethodNotAllowed"),
    (409, b'{"code":"IncorrectState","message":"x"}', Limited, 409, "IncorrectState"),
    (409, b'{"code":"LockConflict","message":"x"}', Limited, 409, "LockConflict"),
    (409, b'{"code":"409","message":"x"}', Limited, 409, None),
    (409, b'{"code":"Conflict","message":"x"}', Refused, 409, "Conflict"),
    (409, b'{"code":"InvalidatedRetryToken","message":"x"}', Refused, 409, "InvalidatedRetryToken"),
    (412, b'{"code":"NoEtagMatch","message":"x"}', Refused, 412, "NoEtagMatch"),
    (429, b'{"code":"TooManyRequests","message":"x"}', Limited, 429, "TooManyRequests"),
    (429, b"", Limited, 429, None),
    (408, b"", Timeout, 504, None),
    (504, b"", Timeout, 504, None),
    (500, b'{"code":"InternalServerError","message":"x"}', Down, 502, "InternalServerError"),
    (503, b"<html>busy</html>", Down, 502, None),
    (302, b"", Refused, 502, None),
]


@pytest.mark.parametrize(("status", "body", "kind", "told", "code"), CASES)
def test_status_and_code_decide(status: int, body: bytes, kind: type[Fault], told: int, code: str | None) -> None:
    """Each status and code is its fault: final, worth another try, ours to mend, or the target's."""
    fault = decode_fault(Reply(status, (), body))

    assert type(fault) is kind
    assert (fault.status, fault.vendor_code) == (told, code)


def test_a_vendors_error_names_its_field() -> None:
    """An error that is JSON within the message is read: its words, its parameter, its code."""
    fault = decode_fault(Reply(400, (), NESTED))

    assert (fault.message, fault.field) == ("the upstream answered 400: no such", "topK")


@pytest.mark.parametrize("secret", ['signature=\\"c2VjcmV0c2VjcmV0', "ST$eyJhbGciOiJub25lIn0", "Bearer abcdefghijkl"])
def test_no_credential_is_shown(secret: str) -> None:
    """What looks like a signature, a token or a key in an error's words is struck out."""
    fault = decode_fault(Reply(400, (), f'{{"code":"400","message":"you sent {secret}"}}'.encode()))

    assert secret[-8:] not in fault.message
    assert "***" in fault.message


def test_retry_after_is_heard() -> None:
    """A wait that a refusal names is in its fault."""
    assert decode_fault(Reply(429, ((b"retry-after", b"3"),), b"")).retry_after == 3.0


CLIENT = EmbeddingClient(Place("ocid1.compartment.oc1..c"))


def test_texts_are_embedded() -> None:
    """Texts and dimensions are said as the API has them, for a model on demand."""
    call = CLIENT.encode_request(EmbedRequest("public", ("a", "b"), dimensions=512), "cohere.embed-v4.0")

    assert call.path == "/20231130/actions/embedText"
    assert msgspec.json.decode(call.body) == {
        "inputs": ["a", "b"],
        "servingMode": {"servingType": "ON_DEMAND", "modelId": "cohere.embed-v4.0"},
        "compartmentId": "ocid1.compartment.oc1..c",
        "inputType": "SEARCH_DOCUMENT",
        "outputDimensions": 512,
    }


@pytest.mark.parametrize(
    ("said", "told"), [("query", "SEARCH_QUERY"), ("SEARCH_DOCUMENT", "SEARCH_DOCUMENT"), ("clustering", "CLUSTERING")]
)
def test_what_texts_are_for_is_said(said: str, told: str) -> None:
    """An `input_type` in the caller's words is told in Oracle's; a word that nobody knows is refused by name."""

    def asked(word: object) -> EmbedRequest:
        return EmbedRequest("public", ("a",), vendor={"openai": {"input_type": msgspec.Raw(msgspec.json.encode(word))}})

    assert msgspec.json.decode(CLIENT.encode_request(asked(said), "m").body)["inputType"] == told
    for wrong in ("nonsense", 7):
        with pytest.raises(BadRequest) as refused:
            CLIENT.encode_request(asked(wrong), "m")
        assert refused.value.field == "input_type"


@pytest.mark.parametrize("inputs", [((1, 2, 3),), ("x",) * 97])
def test_what_cannot_be_embedded_is_refused(inputs: tuple[str | tuple[int, ...], ...]) -> None:
    """Tokens, and more texts than one call takes, are refused before anything is sent, naming the field."""
    with pytest.raises(Unsupported) as refused:
        CLIENT.encode_request(EmbedRequest("public", inputs), "cohere.embed-v4.0")

    assert refused.value.field == "input"


@pytest.mark.parametrize(
    ("body", "usage"),
    [
        (
            b'{"embeddings":[[0.5,1]],"modelId":"m","usage":{"promptTokens":7,"totalTokens":7}}',
            Usage(input=7, output=0),
        ),
        (b'{"embeddings":[[0.5,1]],"modelId":"m","inputTextTokenCounts":[3,4]}', Usage(input=7, output=0)),
        (b'{"embeddings":[[0.5,1]],"modelId":"m"}', None),
        (b'{"embeddingsByType":{"float":[[0.5,1]]},"modelId":"m"}', None),
    ],
)
def test_vectors_are_heard(body: bytes, usage: Usage | None) -> None:
    """Vectors are read wherever they stand, and counted by whichever count came."""
    heard = CLIENT.decode_response(Reply(200, (), body))

    assert (heard.vectors, heard.usage, heard.model) == (((0.5, 1.0),), usage, "m")


@pytest.mark.parametrize("body", [b"", b"{}", b'{"embeddings":[]}', b'{"embeddings":[["a"]]}', b"[1]"])
def test_what_holds_no_vector_is_garbled(body: bytes) -> None:
    """An answer without vectors is the target's fault."""
    with pytest.raises(Garbled):
        CLIENT.decode_response(Reply(200, (), body))


def test_an_error_that_came_as_an_answer_is_one() -> None:
    """A 200 that holds an error is that error."""
    with pytest.raises(Limited):
        CLIENT.decode_response(Reply(200, (), b'{"code":"429","message":"slow down"}'))
