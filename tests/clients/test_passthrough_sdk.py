"""Vendors' own SDKs speaking with their vendors through the daemon, which passes everything on; over real sockets."""

from __future__ import annotations

import json
import tempfile
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

import anthropic
import httpx
import openai
import pytest
from google import genai

from tests.fakes.replaying import ReplayingVendor, replaying

from .conftest import Daemon
from .test_both_formats import CHAT, MESSAGE, SAID, recording
from .test_gemini_formats import GEMINI

HELLO: Any = [{"role": "user", "content": "Hello there"}]
LARGE = bytes(range(256)) * 4096


class Files(BaseHTTPRequestHandler):
    """A vendor with files, and nothing that a dialect knows."""

    protocol_version = "HTTP/1.1"
    seen: ClassVar[list[tuple[str, str, dict[str, str], bytes]]] = []

    def do_POST(self) -> None:
        self._answer(json.dumps({"id": "file-1"}).encode())

    def do_GET(self) -> None:
        self._answer(LARGE)

    def do_HEAD(self) -> None:
        self._answer(LARGE)

    def do_DELETE(self) -> None:
        self._answer(b"", 204)

    def _answer(self, body: bytes, status: int = 200) -> None:
        sent = self.rfile.read(int(self.headers.get("content-length", 0)))
        self.seen.append((self.command, self.path, dict(self.headers.items()), sent))
        self.send_response(status)
        if status != 204:
            self.send_header("content-length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        """Nothing is printed."""


class House:
    """A daemon that passes on to vendors of three formats, and to one with files."""

    def __init__(self, daemon: Daemon, vendor: ReplayingVendor) -> None:
        self.daemon = daemon
        self.vendor = vendor
        self.origin = daemon.url.removesuffix("/v1")

    def spent(self, name: str) -> Any:
        return httpx.get(f"{self.daemon.url}/stats").json()["statistics"]["vendors"][name]


@pytest.fixture(scope="module")
def house() -> Iterator[House]:
    made = [recording(CHAT, stream=False), recording(MESSAGE, stream=False), recording(SAID, stream=True), recording(GEMINI, stream=False)]  # fmt: skip
    files = ThreadingHTTPServer(("127.0.0.1", 0), Files)
    thread = threading.Thread(target=files.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    with replaying(made) as vendor, tempfile.TemporaryDirectory() as folder:
        text = "[server]\nport = 0\n[server.overload]\nloop_lag = '1h'\n[logging]\nformat = 'json'\n[retry]\nattempts = 1\n"
        for name, dialect, address in (
            ("gpt", "openai", f"{vendor.port}/0/v1"),
            ("claude", "anthropic", f"{vendor.port}/1/v1"),
            ("claude-stream", "anthropic", f"{vendor.port}/2/v1"),
            ("gemini", "google", f"{vendor.port}/3/v1beta"),
            ("files", "openai", f"{files.server_port}/v1"),
        ):
            text += (
                f"[[vendors]]\nname = '{name}'\ndialect = '{dialect}'\napi_key = 'theirs'\npassthrough = true\n"
                f"base_url = 'http://127.0.0.1:{address}'\nmodels = [{{ name = 'm', price = {{ input = 1, output = 2 }} }}]\n"
            )
        config = Path(folder, "dispatcher.toml")
        config.write_text(text, encoding="utf-8")
        daemon = Daemon(config)
        try:
            yield House(daemon, vendor)
        finally:
            daemon.close()
            files.shutdown()
            files.server_close()
            thread.join(10)


def test_openais_client_speaks_with_its_vendor(house: House) -> None:
    with openai.OpenAI(base_url=f"{house.origin}/gpt", api_key="mine", max_retries=0) as client:
        raw = client.chat.completions.with_raw_response.create(model="m", messages=HELLO)
    assert raw.parse().id == "chatcmpl-theirs"
    assert raw.headers["x-dispatch-deployment"] == "gpt/m"
    head, _ = house.vendor.asked[-1]
    assert "authorization: bearer theirs" in head.lower()
    assert "mine" not in head
    assert float(house.spent("gpt")["cost"]) == pytest.approx((15 + 2 * 20) / 1e6)


@pytest.mark.parametrize("stream", [False, True])
def test_anthropics_client_speaks_with_its_vendor(house: House, stream: bool) -> None:
    name = "claude-stream" if stream else "claude"
    with anthropic.Anthropic(base_url=f"{house.origin}/{name}", api_key="mine", max_retries=0) as client:
        wanted: Any = {"model": "m", "max_tokens": 50, "messages": HELLO}
        if stream:
            with client.messages.stream(**wanted) as events:
                message = events.get_final_message()
        else:
            message = client.messages.create(**wanted)
    assert (message.id, message.content[0].type) == ("msg_theirs", "thinking")
    assert "x-api-key: theirs" in house.vendor.asked[-1][0].lower()
    told = house.spent(name)
    assert (told["output_tokens"], told["unpriced"]) == (20, 0)


def test_googles_client_speaks_with_its_vendor(house: House) -> None:
    client = genai.Client(api_key="mine", http_options={"base_url": f"{house.origin}/gemini"})
    assert client.models.generate_content(model="m", contents="Hello").response_id == "theirs"
    client.close()
    head, _ = house.vendor.asked[-1]
    # The SDK names another version than the configuration: what it asks is understood all the same.
    assert head.startswith("POST /3/v1/models/m:generateContent")
    assert "x-goog-api-key: theirs" in head.lower()
    assert house.spent("gemini")["unpriced"] == 0


def test_files_go_up_and_down_and_away(house: House) -> None:
    with openai.OpenAI(base_url=f"{house.origin}/files/v1", api_key="mine", max_retries=0) as client:
        assert client.files.create(file=("a.bin", LARGE), purpose="batch").id == "file-1"
        assert client.files.content("file-1").content == LARGE
    command, path, headers, body = Files.seen[-2]
    assert (command, path) == ("POST", "/v1/files")
    assert headers["content-type"].startswith("multipart/form-data; boundary=")
    assert LARGE in body
    address = f"{house.origin}/files/files/file-1"
    with httpx.Client() as client_:
        head = client_.head(address)
        assert (head.status_code, head.headers["content-length"], head.content) == (200, str(len(LARGE)), b"")
        assert client_.delete(address).status_code == 204
        assert client_.get(address).content == LARGE
    assert house.spent("files")["unpriced"] == house.spent("files")["attempts"] == 5
