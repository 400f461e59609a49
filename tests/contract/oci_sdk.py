"""
Oracle's own SDK as a program: `python oci_sdk.py CONFIG ENDPOINT`.

Run with the SDK that setting up puts beside the environment first on the path. Each surface gives facts, and all facts
are printed as one JSON object; the tests that start it say what they must be.
"""

import sys
from pathlib import Path
from typing import Any

import msgspec
import oci
from oci import generative_ai_agent_runtime as runtime
from oci import generative_ai_inference as inference
from oci._vendor import requests
from oci.generative_ai_inference import models

COMPARTMENT = "ocid1.compartment.oc1..aaaacompartment"
Facts = dict[str, Any]


class Session:
    """One client that neither repeats nor breaks the circuit."""

    def __init__(self, config: str, endpoint: str, profile: str = "DEFAULT") -> None:
        self.endpoint = endpoint
        self.config = oci.config.from_file(config, profile)
        more: Facts = {}
        if "security_token_file" in self.config:
            token = Path(self.config["security_token_file"]).read_text(encoding="ascii")
            key = oci.signer.load_private_key_from_file(self.config["key_file"])
            more["signer"] = oci.auth.signers.SecurityTokenSigner(token, key)
        self.client = inference.GenerativeAiInferenceClient(
            self.config,
            service_endpoint=endpoint,
            retry_strategy=oci.retry.NoneRetryStrategy(),
            circuit_breaker_strategy=oci.circuit_breaker.NoCircuitBreakerStrategy(),
            timeout=(5, 20),
            **more,
        )

    def next(self, *acts: Facts) -> None:
        """What is wrong with the next calls."""
        requests.put(f"{self.endpoint}/_next", data=msgspec.json.encode(acts), timeout=5)

    def ask(self, model: str, request: Any) -> Any:
        """One chat."""
        serving = models.OnDemandServingMode(model_id=model)
        details = models.ChatDetails(compartment_id=COMPARTMENT, serving_mode=serving, chat_request=request)
        return self.client.chat(details).data

    def stream(self, model: str, request: Any) -> list[Facts]:
        """One chat, event by event."""
        return [
            msgspec.json.decode(event.data) for event in self.ask(model, request).events() if event.data != "[DONE]"
        ]


def generic(text: str, **more: Any) -> Any:
    """A chat of one turn."""
    user = models.UserMessage(content=[models.TextContent(text=text)])
    return models.GenericChatRequest(messages=[user], max_tokens=200, **more)


TOOL = models.FunctionDefinition(
    name="weather",
    description="The weather of a city.",
    parameters={"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
)
USAGE = models.StreamOptions(is_include_usage=True)


def tell_generic(session: Session) -> Facts:
    """GENERIC, whole and streamed, with parallel tools and a schema."""
    model = "meta.llama-3.3-70b-instruct"
    whole = session.ask(model, generic("Olá 🌊"))
    choice = whole.chat_response.choices[0]
    events = session.stream(model, generic("Olá 🌊", is_stream=True, stream_options=USAGE))
    tools = session.ask(model, generic("The weather in Paris and Tokyo?", tools=[TOOL])).chat_response.choices[0]
    streamed = session.stream(
        model, generic("The weather in Paris and Tokyo?", tools=[TOOL], is_stream=True, stream_options=USAGE)
    )
    parts = [part for event in events for part in event.get("message", {}).get("content", [])]
    return {
        "format": whole.chat_response.api_format,
        "model": whole.model_id,
        "text": choice.message.content[0].text,
        "finish": choice.finish_reason,
        "usage": whole.chat_response.usage.total_tokens,
        "streamed": "".join(part["text"] for part in parts),
        "after_finish": [sorted(event) for event in events][-1],
        "streamed_usage": events[-1]["usage"]["totalTokens"],
        "calls": [[call.name, call.arguments] for call in tools.message.tool_calls],
        "opened": [
            call["name"]
            for event in streamed
            for call in event.get("message", {}).get("toolCalls", [])
            if call.get("name")
        ],
    }


def tell_cohere(session: Session) -> Facts:
    """COHERE, whole and streamed."""
    model = "cohere.command-r-08-2024"
    whole = session.ask(model, models.CohereChatRequest(message="Hello there", max_tokens=200)).chat_response
    asked = models.CohereChatRequest(message="Hello there", max_tokens=200, is_stream=True, stream_options=USAGE)
    events = session.stream(model, asked)
    return {
        "format": whole.api_format,
        "text": whole.text,
        "finish": whole.finish_reason,
        "streamed": "".join(event["text"] for event in events[:-1]),
        "restated": events[-1]["text"],
        "usage": events[-1]["usage"]["totalTokens"],
    }


def tell_cohere2(session: Session) -> Facts:
    """COHEREV2, whole."""
    user = models.CohereUserMessageV2(content=[models.CohereTextContentV2(text="Hello there")])
    asked = models.CohereChatRequestV2(messages=[user], max_tokens=200)
    whole = session.ask("cohere.command-a-vision", asked).chat_response
    return {"format": whole.api_format, "text": whole.message.content[0].text, "finish": whole.finish_reason}


def tell_embeddings(session: Session) -> Facts:
    """Two vectors."""
    details = models.EmbedTextDetails(
        inputs=["one", "two"],
        serving_mode=models.OnDemandServingMode(model_id="cohere.embed-english-v3.0"),
        compartment_id=COMPARTMENT,
        input_type="SEARCH_DOCUMENT",
    )
    vectors = session.client.embed_text(details).data.embeddings
    return {"vectors": len(vectors), "dimensions": len(vectors[0]), "differ": vectors[0] != vectors[1]}


def tell_errors(session: Session) -> list[Facts]:
    """Each status as the SDK raises it, and a model that there is not."""
    told = []
    for status in (400, 401, 404, 409, 429, 500):
        session.next({"x-simulate-status": str(status), "x-simulate-code": f"Code{status}"})
        told.append(_raised(session, "meta.llama-3.3-70b-instruct"))
    told.append(_raised(session, "ocid1.generativeaimodel.oc1..nobody"))
    return told


def _raised(session: Session, model: str) -> Facts:
    try:
        session.ask(model, generic("Hello"))
    except oci.exceptions.ServiceError as error:
        return {"status": error.status, "code": error.code, "message": error.message}
    return {}


def tell_signatures(session: Session, profiles: list[str], config: str) -> list[Facts]:
    """What the SDK's own signers make of given requests, by profile."""
    told = []
    for name in profiles:
        signer = Session(config, session.endpoint, name).client.base_client.signer
        for method, path, body in (
            ("POST", "/20231130/actions/chat", b'{"compartmentId":"c","x":"\xc3\xa9"}'),
            ("POST", "/20231130/actions/chat", b""),
            ("GET", "/20231130/models/ocid1.m?limit=1&a=b%20c", b""),
            ("DELETE", "/20240531/agentEndpoints/e/sessions/s", b""),
            ("PUT", "/20240531/x", b"{}"),
        ):
            headers = {"date": "Thu, 05 Jan 2014 21:31:40 GMT", "content-type": "application/json"}
            if method in {"POST", "PUT"}:
                headers["content-length"] = str(len(body))
            made = oci._vendor.requests.Request(
                method, f"https://inference.example.com{path}", headers=headers, data=body
            ).prepare()
            signed = signer(made).headers
            told.append(
                {
                    "profile": name,
                    "method": method,
                    "path": path,
                    "body": body.decode(),
                    "authorization": signed["authorization"],
                    "digest": signed.get("x-content-sha256"),
                }
            )
    return told


def tell_agents(session: Session) -> Facts:
    """Sessions made, used, looked at and ended; chats whole and streamed; what is not there."""
    client = runtime.GenerativeAiAgentRuntimeClient(
        session.config,
        service_endpoint=session.endpoint,
        retry_strategy=oci.retry.NoneRetryStrategy(),
        circuit_breaker_strategy=oci.circuit_breaker.NoCircuitBreakerStrategy(),
        timeout=(5, 20),
    )
    agent = "ocid1.genaiagentendpoint.oc1.us-chicago-1.traced-tool"
    made = client.create_session(runtime.models.CreateSessionDetails(display_name="mine"), agent).data
    first = client.chat(agent, runtime.models.ChatDetails(user_message="Hello", session_id=made.id)).data
    acted = runtime.models.FunctionCallingPerformedAction(
        action_id=first.required_actions[0].action_id, function_call_output="30 degrees"
    )
    asked = runtime.models.ChatDetails(
        user_message="", should_stream=True, session_id=made.id, performed_actions=[acted]
    )
    events = [msgspec.json.decode(event.data) for event in client.chat(agent, asked).data.events()]
    texts = [event["message"]["content"]["text"] for event in events]
    known = client.get_session(agent, made.id).data.id
    ended = client.delete_session(agent, made.id).status
    try:
        client.chat(agent, runtime.models.ChatDetails(user_message="Hello", session_id=made.id))
        gone = 200
    except oci.exceptions.ServiceError as error:
        gone = error.status
    return {
        "name": made.display_name,
        "known": known == made.id,
        "text": first.message.content.text,
        "citation": first.message.content.citations[0].source_location.url,
        "tokens": first.traces[0].usage[0].usage_details.output_token_count,
        "called": first.required_actions[0].function_call.name,
        "streamed": "".join(texts[:-1]),
        "last": texts[-1],
        "ended": ended,
        "gone": gone,
    }


def main() -> None:
    """Runs all of it."""
    config, endpoint = sys.argv[1:3]
    session = Session(config, endpoint)
    by_token = Session(config, endpoint, "SESSION")
    facts = {
        "version": oci.__version__,
        "generic": tell_generic(session),
        "cohere": tell_cohere(session),
        "cohere2": tell_cohere2(session),
        "embeddings": tell_embeddings(session),
        "errors": tell_errors(session),
        "by_token": tell_cohere(by_token)["text"],
        "agents": tell_agents(session),
        "signatures": tell_signatures(session, ["DEFAULT", "SESSION", "LOCKED"], config),
    }
    sys.stdout.buffer.write(msgspec.json.encode(facts))


if __name__ == "__main__":
    main()
