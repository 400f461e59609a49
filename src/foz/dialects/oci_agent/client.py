"""`actions/chat` of an agent as we speak it to Oracle."""

from foz.canon.fault import Fault
from foz.canon.request import ChatRequest, Request
from foz.canon.response import Response, fold
from foz.dialects.oci_agent import asking
from foz.dialects.oci_agent.answer import Reader, StreamDecoder
from foz.dialects.oci_agent.faults import decode_fault
from foz.dialects.oci_agent.frames import HEADERS, STREAM_HEADERS
from foz.dialects.oci_agent.session import Call, path, used_of, wish_of
from foz.wire import http, json
from foz.wire.http import Reply


class ChatClient:
    """Implements `ports.codec.ClientCodec`."""

    def encode_request(self, request: Request, model: str) -> Call:
        """`model` is the OCID of the agent's endpoint."""
        if not isinstance(request, ChatRequest):
            raise TypeError("the chat operation takes a ChatRequest")
        wish = wish_of(request)
        said = asking.say(request, wish)
        headers = STREAM_HEADERS if request.stream else HEADERS
        where = path(model, "actions/chat")

        def within(session: str) -> http.Call:
            return http.Call("POST", where, headers, json.encode({**said, "sessionId": session}))

        return Call("POST", where, headers, json.encode(said), agent=model, wish=wish, within=within)

    def decode_response(self, reply: Reply) -> Response:
        """A whole 2xx answer."""
        reader = Reader(used_of(reply.headers))
        return fold([*reader.take(reply.body), *reader.finish()])

    def decoder(self) -> StreamDecoder:
        """For a streamed 2xx answer."""
        return StreamDecoder()

    def decode_fault(self, reply: Reply) -> Fault:
        """What a non-2xx answer means."""
        return decode_fault(reply)
