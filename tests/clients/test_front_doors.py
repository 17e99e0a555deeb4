"""The daemon's other front doors: a unix socket, and TLS."""

from __future__ import annotations

import signal
import ssl
import subprocess
import tempfile
from pathlib import Path

import httpx
import pytest
import trustme

from .conftest import COMMAND, CONFIG, Daemon


@pytest.mark.slow
def test_a_unix_socket_takes_requests_and_orders_and_is_gone_when_the_daemon_is() -> None:
    with tempfile.TemporaryDirectory() as folder:
        path, config = Path(folder, "s"), Path(folder, "dispatcher.toml")
        config.write_text(CONFIG.replace("port = 0", f'unix_socket = "{path}"'), encoding="utf-8")
        daemon = Daemon(config)
        assert daemon.url == f"unix:{path}"
        body = {"model": "talker", "messages": [{"role": "user", "content": "hello"}]}
        with httpx.Client(transport=httpx.HTTPTransport(uds=str(path))) as client:
            assert client.post("http://here/v1/chat/completions", json=body).status_code == 200
        order = [*COMMAND, "order", "--url", daemon.url, "isolate", "sim/talker"]
        ordered = subprocess.run(order, capture_output=True, text=True, timeout=30, check=False)
        assert ordered.returncode == 0, ordered.stderr
        assert "isolated" in ordered.stdout
        assert daemon.stop(signal.SIGTERM) == 0
        assert not path.exists()


@pytest.mark.slow
def test_tls_is_spoken_with_the_certificate_of_the_configuration(tmp_path: Path) -> None:
    authority, config = trustme.CA(), tmp_path / "dispatcher.toml"
    pem = tmp_path / "both.pem"
    authority.issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(str(pem))
    config.write_text(f'{CONFIG}\n[server.tls]\ncertificate = "{pem}"\n', encoding="utf-8")
    context = ssl.create_default_context()
    authority.configure_trust(context)
    daemon = Daemon(config)
    assert daemon.url.startswith("https://127.0.0.1:")
    assert httpx.get(daemon.url + "/models", verify=context).status_code == 200
    assert daemon.stop(signal.SIGTERM) == 0


@pytest.mark.slow
def test_a_certificate_that_is_not_there_is_said_and_nothing_is_served(tmp_path: Path) -> None:
    config = tmp_path / "dispatcher.toml"
    config.write_text(f'{CONFIG}\n[server.tls]\ncertificate = "nowhere.pem"\n', encoding="utf-8")
    command = [*COMMAND, "serve", "--config", str(config)]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    assert ended.returncode == 1
    assert "cannot read nowhere.pem: No such file or directory" in ended.stderr
    assert "Traceback" not in ended.stderr
