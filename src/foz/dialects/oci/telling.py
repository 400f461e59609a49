"""
How one model of Oracle's is told a chat: its format, the name of its limit, where it runs.

Which of the three formats a model takes is told by the vendor's name (`cohere.command-r...`), by a row, or by Oracle's
own list of models; an OCID alone says nothing. What is not known is guessed, and a 400 corrects the guess: so a call
of this dialect can be said again in another way (`Call.retold`). What worked is remembered (`Call.learned`).
"""

from collections import OrderedDict
from collections.abc import Callable, Mapping
from fnmatch import fnmatchcase
from typing import Literal

import msgspec
from msgspec import Struct

from foz.wire import http, json

Format = Literal["GENERIC", "COHERE", "COHEREV2"]
FORMATS: tuple[Format, ...] = ("GENERIC", "COHERE", "COHEREV2")
Limit = Literal["maxTokens", "maxCompletionTokens"]
ServingType = Literal["ON_DEMAND", "DEDICATED"]

DEFAULT_LIMIT = 4000
"""Tokens of an answer whose caller names no limit: the API's own default is about 20. Every model takes so many."""
_ENDPOINT = "ocid1.generativeaiendpoint."
_OCID = "ocid1."
_SECOND = ("cohere.command-a-vision*", "cohere.command-a-reasoning*")
_REASONERS = ("openai.gpt-5*", "openai.o[1-9]*")
_REMEMBERED = 10_000
_TRIES = 6
_DRAWN = {"top_p": "topP", "top_k": "topK", "frequency_penalty": "frequencyPenalty",
          "presence_penalty": "presencePenalty"}  # fmt: skip
"""How tokens are drawn, by the vendor's names where they are not Oracle's."""
_MAY_GO = frozenset({"temperature", *_DRAWN.values()})
"""What may be left out where a model refuses it: it draws in its own way, and answers."""


class Facts(Struct, frozen=True):
    """What a row says of one model, under the name or OCID that calls bear."""

    format: Format | None = None
    name: str | None = None
    """The vendor's name of what is called by an OCID."""
    serving: ServingType | None = None
    endpoint: str | None = None
    """The OCID of the endpoint where it is served, if it is served for one customer only."""


class Place(Struct, frozen=True):
    """Where the models of one provider run, and whose account pays."""

    compartment: str
    models: Mapping[str, Facts] = {}

    def serving(self, model: str) -> dict[str, str]:
        """`servingMode`: on demand by the model's name or OCID, or an endpoint of one's own."""
        facts = self.models.get(model, _UNKNOWN)
        endpoint = facts.endpoint or (model if model.startswith(_ENDPOINT) else None)
        if endpoint is None and facts.serving == "DEDICATED":
            endpoint = model
        if endpoint is not None and facts.serving != "ON_DEMAND":
            return {"servingType": "DEDICATED", "endpointId": endpoint}
        return {"servingType": "ON_DEMAND", "modelId": model}


class Telling(Struct, frozen=True):
    """How a model is told. `sure` where somebody said so or it has worked."""

    format: Format = "GENERIC"
    limit: Limit = "maxTokens"
    sure: bool = False
    singly: bool = False
    """Whether a turn may hold one call of a tool only, with its result right behind it."""
    without: frozenset[str] = frozenset()
    """What of the sampling the model refuses."""


class Call(http.Call, frozen=True, dict=True):
    """A chat that can be said in another way."""

    model: str = ""
    telling: Telling = Telling()
    retold: Callable[[Telling], "Call"] | None = None
    learned: Callable[[Telling], None] | None = None


_UNKNOWN = Facts()
_GUESS = Telling()


def by_name(name: str) -> Telling | None:
    """What a vendor's name tells; None where it is an OCID or no vendor's name."""
    name = name.lower()
    if name.startswith(_OCID) or "." not in name:
        return None
    if name.startswith("cohere."):
        second = any(fnmatchcase(name, pattern) for pattern in _SECOND)
        return Telling("COHEREV2" if second else "COHERE", sure=True)
    reasons = any(fnmatchcase(name, pattern) for pattern in _REASONERS)
    singly = name.startswith("google.")
    return Telling("GENERIC", "maxCompletionTokens" if reasons else "maxTokens", sure=True, singly=singly)


class Memory:
    """What is known of the models of one provider. The one thing of this dialect that has state."""

    def __init__(self, place: Place) -> None:
        self._place = place
        self._known: OrderedDict[str, Telling] = OrderedDict()

    def recall(self, model: str) -> Telling:
        """How it is told, as far as is known."""
        known = self._known.get(model)
        if known is not None:
            return known
        facts = self._place.models.get(model, _UNKNOWN)
        named = by_name(facts.name or model)
        if facts.format is not None:
            known = named or _GUESS
            return msgspec.structs.replace(known, format=facts.format, sure=True)
        return named or _GUESS

    def remember(self, model: str, telling: Telling) -> None:
        """It is so."""
        self._known[model] = msgspec.structs.replace(telling, sure=True)
        if len(self._known) > _REMEMBERED:
            self._known.popitem(last=False)


class _Inner(Struct):
    param: str | None = None
    code: str | int | None = None


class _Error(Struct):
    error: _Inner | None = None
    message: str | None = None


_ERROR = msgspec.json.Decoder(_Error)


def _refusal(body: bytes) -> _Inner:
    """What a 400 names, be its OpenAI-shaped error plain or written once more into `message`."""
    try:
        told = _ERROR.decode(body)
        if told.error is None and told.message and told.message.lstrip().startswith("{"):
            told = _ERROR.decode(told.message)
    except (json.DecodeError, UnicodeDecodeError, RecursionError):
        return _Inner()
    return told.error or _Inner()


def refused_parameter(body: bytes) -> str | None:
    """The parameter that a 400 names."""
    return _refusal(body).param


def _refused_drawing(last: Telling, body: bytes) -> str | None:
    """
    What of the sampling a 400 says that the model does not know; or takes in one value only, as GPT-5 its temperature:
    that is believed of models that reason and of those that nobody knows. At others a wrong value is the caller's.
    """
    refusal = _refusal(body)
    name = _DRAWN.get(refusal.param or "", refusal.param)
    of_one_value = refusal.code == "unsupported_value" and (last.limit == "maxCompletionTokens" or not last.sure)
    if name not in _MAY_GO or name in last.without:
        return None
    return name if of_one_value or refusal.code == "unsupported_parameter" else None


def otherwise(tried: tuple[Telling, ...], body: bytes) -> Telling | None:
    """
    What to try after a 400 to the last of these: the limit's other name where the error names it, without what of the
    sampling it names, else, while the format was only guessed, the next one.
    """
    last = tried[-1]
    if len(tried) >= _TRIES:
        return None
    if refused_parameter(body) == last.limit:
        other: Limit = "maxTokens" if last.limit == "maxCompletionTokens" else "maxCompletionTokens"
        changed = msgspec.structs.replace(last, limit=other)
        return None if changed in tried else changed
    refused = _refused_drawing(last, body)
    if refused is not None:
        return msgspec.structs.replace(last, without=last.without | {refused})
    if last.sure:
        return None
    asked = {one.format for one in tried}
    following = next((one for one in FORMATS if one not in asked), None)
    return Telling(following) if following else None
