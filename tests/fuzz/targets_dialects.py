"""Every dialect's decoder, completion and fault, and every format's reader of client requests; found by themselves."""

from __future__ import annotations

import inspect
import json
import pkgutil
import re
from collections.abc import Callable, Iterator
from functools import partial
from importlib import import_module
from typing import Any, Final

import msgspec
from llm_dispatcher.runtime.assembly import Assembler
from llm_dispatcher.runtime.canon import (
    Completion,
    Event,
    Failed,
    Fault,
    Finished,
    Request,
    ToolCallDelta,
    Usage,
    UsageReported,
)
from llm_dispatcher.runtime.dialects import (
    Answer,
    Dialect,
    Unsupported,
    VendorFault,
    dialect_class,
    dialect_names,
    formats,
)
from llm_dispatcher.runtime.dialects import (
    Target as Place,
)
from llm_dispatcher.runtime.dialects.base import InvalidBody
from llm_dispatcher.runtime.dialects.formats.chat_completions import reply as replies
from llm_dispatcher.runtime.dialects.formats.chat_completions.stream import Writer
from llm_dispatcher.runtime.dialects.formats.embed_content.reading import (
    read_batch,
    read_predict,
    read_single,
)
from llm_dispatcher.runtime.dialects.formats.generate_content import FORMAT as GOOGLES
from llm_dispatcher.runtime.dialects.formats.generate_content import reply as googles
from llm_dispatcher.runtime.dialects.formats.generate_content.reading import read_body, read_count
from llm_dispatcher.runtime.dialects.formats.generate_content.writer import Writer as GooglesWriter
from llm_dispatcher.runtime.dialects.formats.messages import FORMAT as MESSAGES
from llm_dispatcher.runtime.dialects.formats.messages import reply as messages
from llm_dispatcher.runtime.dialects.formats.messages.writer import Writer as MessagesWriter
from llm_dispatcher.runtime.dialects.hints import LONGEST
from llm_dispatcher.runtime.dialects.untrusted import read_json
from llm_dispatcher.runtime.estimate import facts_of
from llm_dispatcher.runtime.vectors import Embed

from . import seeds
from .guard import held
from .target import Target
from .targets_wire import same_for_every_cut

__all__ = ["OPTIONS", "client_readers", "dialects", "targets"]

OPTIONS: Final[dict[str, list[dict[str, Any]]]] = {
    "openai": [{}, {"done_marker": False}],
    "program": [{}, {"output": "text"}],
}
"""Dialects of which more than the plain form is worth fuzzing, or that need options to be made at all."""

_OTHER_OPERATIONS: Final = frozenset({"completions", "embeddings"})
"""Formats of `targets_operations`."""

_MOST_TOKENS: Final = 10**15
"""More tokens than any answer has: what is larger would be garbage that breaks the accounts' arithmetic."""
_MOST_MESSAGE: Final = 8192
_ENDS: Final = (b"[DONE]", b"message_stop")
"""How vendors say that their answer is over, beside the reason why."""
_MADE_ID: Final = re.compile(r"_[0-9a-f]{16}_")


def dialects() -> Iterator[tuple[str, Dialect]]:
    """Every dialect, in every form that is fuzzed, by a name."""
    for name in dialect_names():
        for options in OPTIONS.get(name, [{}]):
            place = Place(
                vendor="v", base_url="https://v.example/v1", model="m", key="k", options=options, lenient=True
            )
            yield "-".join([name, *options]), dialect_class(name)(place)


def client_readers() -> Iterator[tuple[str, Callable[[bytes], Request], type[Exception]]]:
    """Every format of chats that can be read from a client: its name, the reader, and the exception that refuses."""
    for module in pkgutil.iter_modules(formats.__path__):
        if module.name in _OTHER_OPERATIONS:
            continue
        package = f"{formats.__name__}.{module.name}"
        parts = {part.name for part in pkgutil.iter_modules(import_module(package).__path__)}
        for part in ("request", "reading"):
            found = import_module(f"{package}.{part}") if part in parts else None
            if found is not None and hasattr(found, "read"):
                refusal = ValueError if _takes_an_object(found.read) else found.InvalidBody
                yield module.name, partial(_read, found.read), refusal
                break


def _takes_an_object(reader: Callable[..., Any]) -> bool:
    parameters = inspect.signature(reader).parameters
    return "model" in parameters and parameters["model"].default is inspect.Parameter.empty


def _read(reader: Callable[..., Any], body: bytes) -> Request:
    """Call a reader with what it takes: the bytes, or the object in them with the model from the URL."""
    if _takes_an_object(reader):
        parsed = read_json(body)
        if not isinstance(parsed, dict):
            raise ValueError("no object")
        found = reader(parsed, model="m")
    else:
        found = reader(body)
    return found if isinstance(found, Request) else found.request


def targets() -> Iterator[Target]:
    """Three for each dialect, and one for each format that clients speak."""
    for name, dialect in dialects():
        home = _home(dialect.format)
        for part, kind, source, check in (
            ("decoder", _FRAMINGS.get(dialect.format, "sse"), seeds.streams, check_decoder),
            ("completion", "json", seeds.wholes, check_completion),
            ("fault", "http", seeds.answers, check_fault),
        ):
            yield Target(
                f"{name}-{part}", kind, partial(source, dialect.format), partial(check, dialect), home=home
            )
    written_for = [dialect for _, dialect in dialects()]
    for name, reader in (("body", read_body), ("count", read_count)):
        yield Target(
            f"generate_content-client-{name}",
            "json",
            partial(seeds.client_requests, GOOGLES),
            partial(check_client_request, partial(reader, model="m"), InvalidBody, []),
            home="tests/runtime/dialects/test_generate_content_reading.py",
        )
    for way, embeds in (("single", read_single), ("batch", read_batch), ("predict", read_predict)):
        yield Target(
            f"embed_content-client-{way}",
            "json",
            lambda: _EMBEDS,
            partial(check_embed_request, partial(embeds, model="m")),
            home="tests/runtime/dialects/test_embed_content_reading.py",
        )
    for spoken, read, refusal in client_readers():
        yield Target(
            f"{spoken}-client",
            "json",
            partial(seeds.client_requests, spoken),
            partial(check_client_request, read, refusal, written_for),
            home=_home(spoken),
        )


_FRAMINGS: Final = {"converse": "frames", "ollama_chat": "lines", "program_lines": "lines"}
"""Formats whose streams are not server-sent events."""

_HOMES: Final = {
    "messages": "anthropic",
    "generate_content": "generate_content_answers",
    "cohere_chat": "cohere_answers",
    "converse": "bedrock",
    "ollama_chat": "ollama",
    "program_lines": "program",
}


def _home(format: str) -> str:
    return f"tests/runtime/dialects/test_{_HOMES.get(format, format)}.py"


# --- what comes out is sound ----------------------------------------------------------------------


def sound(value: Any, kind: Any) -> None:
    """Every field is of the type that the canon says, and can be written as JSON."""
    plain = msgspec.to_builtins(value)
    msgspec.convert(plain, kind)
    msgspec.json.encode(value)


def _sound_usage(usage: Usage | None) -> None:
    for name, count in msgspec.structs.asdict(usage).items() if usage is not None else ():
        assert 0 <= count <= _MOST_TOKENS, f"{name} is {count}"


def _sound_fault(fault: Fault) -> None:
    sound(fault, Fault)
    assert fault.message
    assert len(fault.message) <= _MOST_MESSAGE, f"a message of {len(fault.message)} characters"
    assert fault.retry_after is None or 0 <= fault.retry_after <= LONGEST
    assert fault.status is None or 100 <= fault.status <= 999


def _sound_completion(completion: Completion) -> None:
    sound(completion, Completion)
    _sound_usage(completion.usage)
    json.loads(msgspec.json.encode(replies.write(completion, id="i", model="m", created=1)))
    json.loads(msgspec.json.encode(googles.write(completion, id="i", model="m", thoughts=True)))
    try:
        json.loads(msgspec.json.encode(messages.write(completion, id="i", model="m")))
    except VendorFault as refusal:
        # A call whose arguments are not an object, which this format cannot say.
        assert refusal.fault.message


# --- the checks ---------------------------------------------------------------------------------


def check_decoder(dialect: Dialect, case: bytes) -> None:
    """The same sound events in every cut; nothing after the end; what they add up to can be written."""
    events: list[Event] = []

    def run(pieces: list[bytes]) -> str:
        nonlocal events
        events = _decode(dialect, pieces)
        # Ids that the house makes where a vendor gave none are random.
        return _MADE_ID.sub("_0_", repr(events))

    same_for_every_cut(case, run)
    for event in events:
        sound(event, Event)
        if isinstance(event, UsageReported):
            _sound_usage(event.usage)
        elif isinstance(event, Failed):
            _sound_fault(event.fault)
        elif isinstance(event, ToolCallDelta):
            assert event.call >= 0
        assert getattr(event, "index", 0) >= 0
    _written(events, dialect.format)


def _decode(dialect: Dialect, pieces: list[bytes]) -> list[Event]:
    decoder = dialect.decoder()
    events: list[Event] = []
    for piece in pieces:
        done = decoder.finished
        found = decoder.feed(piece)
        assert not (done and found), "events after the end"
        events += found
        if any(isinstance(event, Failed) for event in found):
            assert decoder.finished, "failed, and not finished"
    if decoder.finished and not any(isinstance(event, Failed | Finished) for event in events):
        assert any(end in b"".join(pieces) for end in _ENDS), "finished without an end"
    events += decoder.close()
    assert decoder.finished
    assert decoder.feed(b"data: {}\n\n") == []
    assert decoder.close() == []
    assert not any(isinstance(event, Failed) for event in events[:-1]), "something follows a Failed"
    assert held(decoder) < 64 * (len(b"".join(pieces)) + 4096) + held(dialect), "more is held than came in"
    return events


def _written(events: list[Event], format: str) -> None:
    """Clients of each format can be sent the events, and what they add up to."""
    own = format == MESSAGES
    writers = (
        Writer(id="i", model="m", created=1, include_usage=True),
        MessagesWriter(id="i", model="m", own=own),
    )
    for array in (False, True):
        google = GooglesWriter(id="i", model="m", own=format == GOOGLES, thoughts=True, array=array)
        told = b"".join([*map(google.write, events), google.close()])
        pieces = (
            [told] if array else [piece.removeprefix(b"data: ") for piece in told.split(b"\r\n\r\n")[:-1]]
        )
        assert all(isinstance(json.loads(piece), list if array else dict) for piece in pieces)
    assembler = Assembler()
    for event in events:
        assembler.add(event)
    for writer in writers:
        written = b"".join([*map(writer.write, events), writer.close()])
        for told in written.split(b"\n\n")[:-1]:
            head, mark, data = told.partition(b"data: ")
            assert mark
            assert b"\n" not in head.removesuffix(b"\n")
            assert data == b"[DONE]" or isinstance(json.loads(data), dict)
    _sound_completion(assembler.completion(MESSAGES if own else ""))


def check_completion(dialect: Dialect, case: bytes) -> None:
    """A sound completion, or a `VendorFault`."""
    try:
        completion = dialect.completion(case)
    except VendorFault as refusal:
        _sound_fault(refusal.fault)
        return
    _sound_completion(completion)


_STATUS: Final = re.compile(rb"\d{3}")


def check_fault(dialect: Dialect, case: bytes) -> None:
    """A sound fault, whatever the status, the headers and the body."""
    head, _, body = case.partition(b"\r\n\r\n")
    first, *lines = head.split(b"\r\n")
    status = _STATUS.search(first)
    headers = {}
    for line in lines:
        name, _, value = line.decode("latin-1").partition(":")
        headers[name.lower()] = value.strip()
    answer = Answer(max(300, int(status[0])) if status else 400, headers, body, 1_700_000_000.0)
    _sound_fault(dialect.fault(answer))


_EMBEDS: Final = [
    b'{"content":{"parts":[{"text":"a"}]},"taskType":"RETRIEVAL_QUERY","outputDimensionality":8}',
    b'{"requests":[{"model":"m","content":{"parts":{"text":"a"}}},{"content":{"parts":[{"text":"b"}]}}]}',
    b'{"instances":[{"content":"a","task_type":"CLUSTERING"}],"parameters":{"autoTruncate":true}}',
]


def check_embed_request(read: Callable[[bytes], Embed], case: bytes) -> None:
    """A sound request of at least one text, or a refusal."""
    try:
        wanted = read(case)
    except InvalidBody as error:
        assert str(error)
        return
    msgspec.json.encode(wanted)
    assert wanted.inputs
    assert all(isinstance(text, str) for text in wanted.inputs)


def check_client_request(
    read: Callable[[bytes], Request], refusal: type[Exception], others: list[Dialect], case: bytes
) -> None:
    """A sound request that every dialect can write or says it cannot, or a refusal."""
    try:
        request = read(case)
    except refusal as error:
        assert str(error)
        return
    sound(request, Request)
    facts = facts_of(request, 100_000)
    assert 0 <= facts.input_tokens <= _MOST_TOKENS
    assert 0 < facts.output_tokens <= _MOST_TOKENS
    for dialect in others:
        try:
            built = dialect.build(request, stream=True)
        except Unsupported:
            continue
        json.loads(built.request.read())
