"""A request body in the completions format: `read` from a client, `write` for a vendor.

A client may send several prompts in one request: each becomes a request of its own. `mode` is an extension of ours, as for
chat; fields that have no canonical word go to vendors of this format only.
"""

from __future__ import annotations

from typing import Annotated, Any, Final

import msgspec
from msgspec import Meta, Struct

from ....canon import Message, Prompt, Request
from ...base import InvalidBody
from ...untrusted import MOST_OUTPUT, Unreadable, read_json
from ...wishes import Wishes
from ..chat_completions.quirks import Quirks
from ..chat_completions.reply import MOST_CHOICES
from . import FORMAT

__all__ = ["ClientRequest", "read", "write"]


class ClientRequest(Struct, frozen=True):
    """What a client sent: a request for each of its prompts, whether it wants a stream, and usage at the stream's end."""

    requests: list[Request]
    stream: bool
    include_usage: bool


_Whole = Annotated[int, Meta(ge=-(2**63), le=2**63 - 1)]
_Tokens = list[Annotated[int, Meta(ge=0, le=2**31 - 1)]]


class _Body(Struct):
    model: str
    prompt: str | list[Any]
    mode: str | None = None
    suffix: str | None = None
    max_tokens: Annotated[int, Meta(ge=1, le=MOST_OUTPUT)] | None = None
    temperature: float | None = None
    top_p: float | None = None
    top_k: _Whole | None = None
    n: Annotated[int, Meta(ge=1, le=MOST_CHOICES)] | None = None
    stream: bool | None = None
    stream_options: dict[str, Any] | None = None
    logprobs: Annotated[int, Meta(ge=0, le=1000)] | None = None
    echo: bool | None = None
    stop: str | list[str] | None = None
    presence_penalty: float | None = None
    frequency_penalty: float | None = None
    best_of: Annotated[int, Meta(ge=1, le=MOST_CHOICES)] | None = None
    seed: _Whole | None = None
    user: str | None = None


_KNOWN: Final = frozenset(_Body.__struct_fields__)


def read(body: bytes, model: str | None = None) -> ClientRequest:
    """A client's requests. `model` is the one that the URL names, if it does: it counts, whatever the body says.

    Raises `InvalidBody`, naming the field.
    """
    try:
        raw = read_json(body)
    except Unreadable as error:
        raise InvalidBody(f"the body is not JSON: {error}") from error
    if not isinstance(raw, dict):
        raise InvalidBody("the body is not a JSON object")
    if model is not None:
        raw = {**raw, "model": model}
    try:
        fields = msgspec.convert(raw, _Body)
    except msgspec.ValidationError as error:
        message, _, path = str(error).partition(" - at `$.")
        param = path.rstrip("`") or None
        raise InvalidBody(f"{param}: {message}" if param else message, param) from error
    prompts = _prompts(fields.prompt)
    if len(prompts) * (fields.n or 1) > MOST_CHOICES:
        message = f"prompt: at most {MOST_CHOICES} answers can be asked for in one request"
        raise InvalidBody(message, "prompt")
    if fields.stream and len(prompts) > 1:
        raise InvalidBody("stream: one prompt at a time can be streamed", "stream")
    extra = {name: value for name, value in raw.items() if name not in _KNOWN and value is not None}
    return ClientRequest(
        [_request(fields, prompt, extra) for prompt in prompts],
        bool(fields.stream),
        bool(fields.stream_options and fields.stream_options.get("include_usage")),
    )


def _prompts(raw: str | list[Any]) -> list[str | list[int]]:
    if isinstance(raw, str):
        return [raw]
    if raw and not isinstance(raw[0], str | list):
        raw = [raw]
    try:
        found: list[str | list[int]] = msgspec.convert(raw, list[str | _Tokens])
    except msgspec.ValidationError:
        message = "prompt: a text, a list of texts, a list of tokens or a list of lists of tokens is needed"
        raise InvalidBody(message, "prompt") from None
    if not found:
        raise InvalidBody("prompt: at least one is needed", "prompt")
    return found


def _request(fields: _Body, prompt: str | list[int], extra: dict[str, Any]) -> Request:
    text, tokens = (prompt, None) if isinstance(prompt, str) else ("", prompt)
    stop = fields.stop
    return Request(
        model=fields.model,
        messages=[Message("user", text)],
        prompt=Prompt(
            tokens=tokens,
            suffix=fields.suffix,
            best_of=fields.best_of,
            logprobs=fields.logprobs,
            echo=bool(fields.echo),
        ),
        mode=fields.mode,
        max_tokens=fields.max_tokens,
        temperature=fields.temperature,
        top_p=fields.top_p,
        top_k=fields.top_k,
        stop=[stop] if isinstance(stop, str) else stop or [],
        seed=fields.seed,
        n=fields.n,
        presence_penalty=fields.presence_penalty,
        frequency_penalty=fields.frequency_penalty,
        user=fields.user,
        extra={FORMAT: extra} if extra else {},
    )


# --- out ----------------------------------------------------------------------------------------


def write(
    request: Request, model: str, quirks: Quirks, *, stream: bool, lenient: bool
) -> tuple[bytes, tuple[str, ...]]:
    """The body for a vendor, and what was dropped. Raises `Unsupported` unless `lenient`."""
    wishes = Wishes(lenient=lenient)
    prompt = request.prompt or Prompt()
    body: dict[str, Any] = {"model": model, "prompt": _prompt(request, prompt)}
    for name in ("suffix", "logprobs", "best_of"):
        value = getattr(prompt, name)
        if value is not None:
            body[name] = value
    if prompt.echo:
        body["echo"] = True
    for name in ("max_tokens", "temperature", "top_p", "n", "presence_penalty", "frequency_penalty", "user"):
        value = getattr(request, name)
        if value is not None:
            body[name] = value
    if request.stop:
        body["stop"] = request.stop
    if request.seed is not None:
        body[quirks.seed_field] = request.seed
    if request.top_k is not None:
        if quirks.top_k:
            body["top_k"] = request.top_k
        else:
            wishes.cannot("top_k", "leave it out, or send the request to a vendor that has it")
    if request.extra:
        body.update(request.extra.get(FORMAT, {}))
        wishes.of_others(request.extra, FORMAT)
    for name in quirks.refuses:
        # The same word is another field in a chat: a switch there, a number here.
        if name != "logprobs" and body.pop(name, None) is not None:
            wishes.cannot(name)
    if stream:
        body["stream"] = True
        if quirks.stream_usage:
            body["stream_options"] = {"include_usage": True}
    return msgspec.json.encode(body), tuple(wishes.dropped)


def _prompt(request: Request, prompt: Prompt) -> str | list[int]:
    """The text to be gone on with: after a break in the middle of a stream, with what has been written already."""
    text = "".join([each.content for each in request.messages if isinstance(each.content, str)])
    if prompt.tokens is None:
        return text
    if text:
        Wishes(lenient=False).cannot("text after a prompt of tokens")
    return prompt.tokens
