"""From seeds to cases: mutations of bytes, and mutations that know the structure of what they spoil.

Everything is drawn from the `Random` that is passed in, so that a number repeats a case.
"""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Callable, Sequence
from random import Random
from typing import Any, Final

from tests.fakes.eventstream import framed, unframed

__all__ = ["MOST", "cuts", "generate", "spoil_bytes", "spoil_value"]

MOST: Final = 1 << 16
"""Bytes of a case at most: endless input is `test_bounds`' part."""

_DEEP: Final = (5, 100, 127, 128, 129, 200, 900, 950, 970, 990, 1000, 5000)

_TOKENS: Final = (
    b"\0", b"\xff", b"\xc3", b"\xed\xa0\x80", b"\xef\xbb\xbf", b"\xf0\x9f\x98\x80", b"\xe2\x80\xa8", b"\r", b"\n",
    b"\r\n", b"\r\n\r\n", b"\n\n", b" ", b"\t", b":", b";", b",", b"=", b"-", b"+", b'"', b"'", b"\\", b"/", b"#",
    b"{", b"}", b"[", b"]", b"<", b">", b"${", b"}", b"$${", b":-", b"null", b"true", b"NaN", b"-Infinity",
    b"1e999", b"-1", b"0", b"9" * 30, b"9" * 400, b"9" * 5000, b"0x", b"1_0", b"1.5", b'"\\ud800"', b'"\\u0000"',
    b"data: ", b"data:", b"event: error\n", b"event:", b"id: ", b"retry: 1", b": ", b"[DONE]", b"data: [DONE]\n\n",
    b"0\r\n\r\n", b"ffffffffffffffff\r\n", b"Content-Length: 5\r\n", b"Transfer-Encoding: chunked\r\n",
    b"HTTP/1.1 100 Continue\r\n\r\n", b"HTTP/1.1 ", b"Host: h\r\n", b"!!int", b"!!python/object:x", b"&a", b"*a", b"<<: *a",
    b"2026-13-45", b"0001-01-01T00:00:00Z", b"Tue, 24 Nov 99999 10:00:00 GMT", b"6m0s", b"1e400", "٣".encode(),
)  # fmt: skip

_RAW: Final = {
    "@@huge@@": b"1" + b"0" * 400,
    "@@endless@@": b"7" * 5000,
    "@@1e999@@": b"1e999",
    "@@nan@@": b"NaN",
    "@@-0@@": b"-0.0",
    "@@surrogate@@": b'"\\ud800"',
    "@@bad utf8@@": b'"\xff\xfe"',
    **{f"@@array {depth}@@": b"[" * depth + b"]" * depth for depth in _DEEP},
    **{f"@@object {depth}@@": b'{"a":' * depth + b"1" + b"}" * depth for depth in _DEEP},
}
"""Placeholders of JSON that `json.dumps` would not write, and what they become."""
_TOO_DEEP: Final = (b"[" * 90, b'{"a":' * 90)
_RAW_PATTERN: Final = re.compile(rb'"(@@[^@"]+@@)"')

_WEIRD: Final[tuple[Any, ...]] = (
    None, True, False, 0, 1, -1, 2**31, 2**63, -(2**63) - 1, 10**30, 10**9, 1.5, -0.5, 1e300, "", "x", "0", "null",
    "\x00", "é€😀", "x" * 3000, [], {}, [[]], [None], {"": None}, [{}], {"type": None}, [1, "a", None], *_RAW,
)  # fmt: skip


def cuts(rng: Random, size: int, most: int = 8) -> list[int]:
    """Places at which the network might cut `size` bytes, with the ends."""
    return [0, *sorted(rng.randint(0, size) for _ in range(rng.randint(0, most))), size]


def generate(rng: Random, seeds: Sequence[bytes], kind: str) -> bytes:
    """One case: a seed spoiled by structure, by bytes, by both; or a soup of tokens."""
    if not seeds or rng.random() < 0.05:
        return b"".join(rng.choice(_TOKENS) for _ in range(rng.randint(0, 30)))[:MOST]
    case = rng.choice(seeds)
    structured = _STRUCTURED.get(kind)
    if structured is not None and rng.random() < 0.7:
        case = structured(case, rng, seeds)
    if structured is None or rng.random() < 0.4:
        case = spoil_bytes(case, rng, seeds)
    return case[:MOST]


# --- bytes --------------------------------------------------------------------------------------


def spoil_bytes(case: bytes, rng: Random, seeds: Sequence[bytes]) -> bytes:
    """One to four mutations that know nothing of what the bytes mean."""
    for _ in range(rng.randint(1, 4)):
        case = rng.choice(_BYTES)(case, rng, seeds)[:MOST]
    return case


def _span(case: bytes, rng: Random) -> tuple[int, int]:
    start = rng.randint(0, len(case))
    return start, min(len(case), start + int(rng.expovariate(0.05)))


def _flip(case: bytes, rng: Random, seeds: Sequence[bytes]) -> bytes:
    if not case:
        return case
    at = rng.randrange(len(case))
    return case[:at] + bytes([case[at] ^ (1 << rng.randrange(8))]) + case[at + 1 :]


def _delete(case: bytes, rng: Random, seeds: Sequence[bytes]) -> bytes:
    start, end = _span(case, rng)
    return case[:start] + case[end:]


def _repeat(case: bytes, rng: Random, seeds: Sequence[bytes]) -> bytes:
    start, end = _span(case, rng)
    return case[:start] + case[start:end] * rng.choice((2, 2, 3, 10, 300)) + case[end:]


def _insert(case: bytes, rng: Random, seeds: Sequence[bytes]) -> bytes:
    at = rng.randint(0, len(case))
    return case[:at] + rng.choice(_TOKENS) + case[at:]


def _overwrite(case: bytes, rng: Random, seeds: Sequence[bytes]) -> bytes:
    at, token = rng.randint(0, len(case)), rng.choice(_TOKENS)
    return case[:at] + token + case[at + len(token) :]


def _truncate(case: bytes, rng: Random, seeds: Sequence[bytes]) -> bytes:
    return case[: rng.randint(0, len(case))]


def _splice(case: bytes, rng: Random, seeds: Sequence[bytes]) -> bytes:
    other = rng.choice(seeds) if seeds else b""
    return case[: rng.randint(0, len(case))] + other[rng.randint(0, len(other)) :]


def _number(case: bytes, rng: Random, seeds: Sequence[bytes]) -> bytes:
    """Put another number in the place of one."""
    found = list(re.finditer(rb"\d+", case))
    if not found:
        return case
    at = rng.choice(found)
    number = rng.choice((b"0", b"-1", b"9" * 20, b"9" * 5000, b"1e999", b"1.5", b"18446744073709551616"))
    return case[: at.start()] + number + case[at.end() :]


_BYTES: Final = (_flip, _delete, _repeat, _insert, _insert, _overwrite, _truncate, _splice, _number)


# --- JSON ---------------------------------------------------------------------------------------


def spoil_value(value: Any, rng: Random, others: Sequence[Any] = ()) -> Any:
    """`value`, which is changed, with one to three of its places spoiled."""
    root: list[Any] = [value]
    for _ in range(rng.randint(1, 3)):
        _spoil_place(*rng.choice(list(_places(root))), rng, others)
    return root[0]


def _places(node: Any) -> list[tuple[Any, Any]]:
    """Every (container, key) below a container, breadth first; enough of them for a choice."""
    found: list[tuple[Any, Any]] = []
    nodes = [node]
    while nodes and len(found) < 2000:
        node = nodes.pop(0)
        keys: Sequence[Any] = list(node) if isinstance(node, dict) else range(len(node))
        for key in keys:
            found.append((node, key))
            if isinstance(node[key], dict | list):
                nodes.append(node[key])
    return found


def _spoil_place(container: Any, key: Any, rng: Random, others: Sequence[Any]) -> None:
    value = container[key]
    action = rng.randrange(8)
    if action == 0 and isinstance(container, dict):
        del container[key]
    elif action == 1 and isinstance(container, dict):
        container[rng.choice(("", "type", "index", "error", "id", f"{key}x"))] = container.pop(key)
    elif action == 2:
        container[key] = rng.choice(([value], {"a": value}, [value, 1], str(value)[:500]))
    elif action == 3 and isinstance(container, list):
        container.insert(key, copy.deepcopy(value))
    elif action == 4 and others:
        places = _places([rng.choice(others)])
        source, at = rng.choice(places)
        container[key] = copy.deepcopy(source[at])
    else:
        container[key] = copy.deepcopy(rng.choice(_WEIRD))


def _dump(value: Any) -> bytes:
    """JSON text in which the placeholders have become what no JSON writer would write."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")
    return _RAW_PATTERN.sub(lambda found: _RAW.get(found[1].decode(), found[0]), text)


def _load(text: bytes) -> Any:
    """The value of a text; None for what is no JSON, and for what is too deep to be copied."""
    if any(mark in text for mark in _TOO_DEEP):
        return None
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def _json(case: bytes, rng: Random, seeds: Sequence[bytes]) -> bytes:
    value = _load(case)
    if value is None:
        return spoil_bytes(case, rng, seeds)
    other = _load(rng.choice(seeds))
    return _dump(spoil_value(value, rng, [] if other is None else [other]))


# --- server-sent events, lines, heads, files ---------------------------------------------------------


def _sse(case: bytes, rng: Random, seeds: Sequence[bytes]) -> bytes:
    """Spoil the events of a stream: their JSON, their order, their number."""
    if case.lstrip()[:1] in (b"{", b"["):
        return _json(case, rng, seeds)
    events = [event for event in re.split(rb"\r?\n\r?\n", case) if event]
    for _ in range(rng.randint(1, 3)):
        if not events:
            break
        at = rng.randrange(len(events))
        action = rng.randrange(6)
        if action == 0:
            del events[at]
        elif action == 1:
            events.insert(rng.randint(0, len(events)), events[at])
        elif action == 2:
            other = [event for event in re.split(rb"\r?\n\r?\n", rng.choice(seeds)) if event]
            events[at:at] = other[: rng.randint(0, 4)]
        else:
            head, mark, data = events[at].rpartition(b"data: ")
            value = _load(data)
            if value is not None:
                events[at] = head + mark + _dump(spoil_value(value, rng))
    end = rng.choice((b"\n\n", b"\n\n", b"\r\n\r\n", b"\r\r"))
    return end.join(events) + rng.choice((end, end, b""))


def _frames(case: bytes, rng: Random, seeds: Sequence[bytes]) -> bytes:
    """Spoil the messages of Amazon's framing, and put the checksums right again: else nothing would be read of them."""
    messages = list(unframed(case))
    if not messages:
        return _json(case, rng, seeds)
    for _ in range(rng.randint(1, 3)):
        at = rng.randrange(len(messages))
        headers, payload = messages[at]
        action = rng.randrange(6)
        if action == 0 and len(messages) > 1:
            del messages[at]
        elif action == 1:
            messages.insert(rng.randint(0, len(messages)), messages[at])
        elif action == 2:
            messages[at] = (spoil_bytes(headers, rng, ()), payload)
        else:
            messages[at] = (headers, _json(payload, rng, [payload]))
    return b"".join(framed(headers, payload) for headers, payload in messages)


def _json_lines(case: bytes, rng: Random, seeds: Sequence[bytes]) -> bytes:
    """Spoil the objects of a stream of lines: their JSON, their order, their number."""
    lines = [line for line in case.split(b"\n") if line]
    for _ in range(rng.randint(1, 3)):
        if not lines:
            break
        at = rng.randrange(len(lines))
        action = rng.randrange(5)
        if action == 0:
            del lines[at]
        elif action == 1:
            lines.insert(rng.randint(0, len(lines)), lines[at])
        else:
            lines[at] = _json(lines[at], rng, seeds)
    return rng.choice((b"\n", b"\n", b"\r\n", b"\n\n")).join(lines) + rng.choice((b"\n", b""))


_NASTY_HEADERS: Final = (
    b"content-length: 0", b"content-length: 3, 3", b"content-length: -1", b"content-length: " + b"9" * 30,
    b"transfer-encoding: chunked", b"transfer-encoding: gzip", b"expect: 100-continue", b"connection: close, x",
    b"connection: upgrade", b"upgrade: h2c", b"host: h", b"host:", b"a:" + b" " * 3000, b"a: \x00", b" folded", b"a b: c",
    b"retry-after: " + b"9" * 400, b"retry-after: Tue, 24 Nov 99999 10:00:00 GMT", b"retry-after: -1e400",
    b"retry-after: 0001-01-01T00:00:00Z", b"retry-after: 9999-12-31T23:59:59-23:59", b"date: 0001-01-01T00:00:00+23:59",
    b"date: Mon, 01 Jan 0001 00:00:00 +9999", b"retry-after-ms: 1e308", b"x-should-retry: maybe",
    b"x-ratelimit-remaining-requests: 0", b"x-ratelimit-reset-requests: 9999999999999",
    b"x-ratelimit-reset-requests: \xff", b"date: ,,,, ::", b"date: 1 Jan 1 1:1:1 +", b"a: b\r\n" * 30 + b"c\x00: d",
)  # fmt: skip


def _http(case: bytes, rng: Random, seeds: Sequence[bytes]) -> bytes:
    """Spoil a head by its lines; leave the body, or spoil that."""
    head, blank, body = case.partition(b"\r\n\r\n")
    lines = head.split(b"\r\n")
    for _ in range(rng.randint(1, 3)):
        at = rng.randint(min(1, len(lines)), len(lines))
        action = rng.randrange(4)
        if action == 0 and at < len(lines):
            del lines[at]
        elif action == 1 and at < len(lines):
            lines[at] = spoil_bytes(lines[at], rng, ())
        else:
            lines.insert(at, rng.choice(_NASTY_HEADERS))
    if rng.random() < 0.5:
        body = _json(body, rng, seeds) if body[:1] in (b"{", b"[") else spoil_bytes(body, rng, seeds)
    return b"\r\n".join(lines) + blank + body


def _yaml(case: bytes, rng: Random, seeds: Sequence[bytes]) -> bytes:
    """Spoil a line: its value, its place, its depth. Serves TOML and `.env` as well."""
    lines = case.split(b"\n")
    for _ in range(rng.randint(1, 3)):
        at = rng.randrange(len(lines))
        name, mark, _ = re.split(rb"([:=] ?)", lines[at] + b":", maxsplit=1)
        action = rng.randrange(6)
        if action == 0:
            lines[at] = rng.choice((b"  ", b"\t", b"- ", b"    ")) + lines[at]
        elif action == 1:
            lines.insert(rng.randint(0, len(lines)), lines[at])
        elif action == 2:
            other = rng.choice(seeds).split(b"\n")
            lines.insert(at, rng.choice(other))
        elif mark:
            value = rng.choice(_VALUES) if rng.random() < 0.6 else _dump(rng.choice(_WEIRD))
            lines[at] = name + mark.rstrip() + b" " + value
    return b"\n".join(lines)


_TAGS: Final = tuple(
    f"!!{tag} {value}".encode()
    for tag in (
        "int",
        "float",
        "bool",
        "null",
        "timestamp",
        "binary",
        "set",
        "omap",
        "pairs",
        "map",
        "seq",
        "str",
    )
    for value in ("", "x", "''", "[1]", "[[a, b]]", "{a: b}", "0b", "-", "1:2:3")
)
_VALUES: Final = (
    *_TAGS, b"${A}", b"${A:-${B:-${C:-x}}}", b"${", b"${A:-{}", b"$${A}", b"${1}", b'"${A:-7}"', b"'", b'"\\', b"'''", b'"""',
    b"[" * 200, b"{a: " * 200, b"[" * 200 + b"]" * 200, b"nan", b"inf", b"-inf", b".nan", b".inf", b"1e999", b"-1", b"0",
    b"1_000", b"0b_", b"0x", b"07", b"9" * 30, b"9" * 5000, b"1979-05-27T07:32:00Z", b"07:32:00", b"2026-02-31",
    b'"1e999999999"', b'"999999999999d"', b'"1m30s"', b'"16MiB"', b'"1.5k"', b'"-3s"', b'"2e3"', b'"\\ud800"', b"\xff",
    b"&a [*a]", b"*b", b"{<<: 5}", b"? [a]\n: b", b"true", b"~", b"[]", b"{}", b"[1, [2]]", b'{ a = 1, a.b = 2 }',
    b'"' + b"1" * 3000 + b'"', b"a.b.c.d = 1",
)  # fmt: skip

_STRUCTURED: Final[dict[str, Callable[[bytes, Random, Sequence[bytes]], bytes]]] = {
    "json": _json,
    "sse": _sse,
    "http": _http,
    "file": _yaml,
    "frames": _frames,
    "lines": _json_lines,
}
"""What a target's `kind` stands for; a kind that is not here is bytes and nothing more."""
