"""Completions' bytes where caller and upstream both speak this dialect: what is said in them. See `openai.relay`."""

import msgspec

from foz.dialects.openai.completions.client import PATH
from foz.dialects.openai.relay import Glance, Lens, Relay, Spoken


class _Choice(Spoken):
    text: str | None = None


def _weigh(choice: _Choice) -> int:
    return len(choice.text) if choice.text else -1


def _said(choice: _Choice) -> list[str]:
    return [choice.text] if choice.text else []


LENS = Lens(msgspec.json.Decoder(Glance[_Choice]), _weigh, _said, b"text")


class CompletionRelay(Relay[_Choice]):
    """Implements `ports.codec.RelayCodec`."""

    def __init__(self) -> None:
        super().__init__(PATH, LENS)
