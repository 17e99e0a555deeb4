"""nginx as a plain hop: Debian's package, unpacked without root. It knows nothing of models, tokens or money."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from .peer import RETRIES, Command, Peer, Unavailable, have, install

__all__ = ["Nginx"]

_CONFIGURATION: Final = """
daemon off;
worker_processes 1;
pid {work}/nginx.pid;
error_log {work}/nginx.error.log crit;
events {{ worker_connections 4096; }}
http {{
  access_log off;
  client_body_temp_path {work}/body;
  proxy_temp_path {work}/proxy;
  fastcgi_temp_path {work}/fastcgi;
  uwsgi_temp_path {work}/uwsgi;
  scgi_temp_path {work}/scgi;
  upstream vendors {{
{servers}
    keepalive 256;
  }}
  server {{
    listen 127.0.0.1:{port} backlog=1024;
    client_max_body_size 64m;
    location / {{
      proxy_pass http://vendors;
      proxy_http_version 1.1;
      proxy_set_header Connection "";
      proxy_buffering off;
      proxy_next_upstream error timeout http_500 http_502 http_503 http_504 non_idempotent;
      proxy_next_upstream_tries {tries};
    }}
  }}
}}
"""


class Nginx(Peer):
    """See the module's text."""

    name = "nginx"
    resilience = "proxy_next_upstream for 5xx, errors and timeouts; each server once"

    def install(self, folder: Path) -> str:
        """With `apt-get download` and `dpkg -x`."""
        program = _program(folder)
        if not program.exists():
            have("apt-get")
            have("dpkg")
            install(["apt-get", "download", "nginx"], folder)
            for package in sorted(folder.glob("nginx_*.deb")):
                install(["dpkg", "-x", str(package), str(folder / "root")], folder)
        try:
            told = subprocess.run([program, "-v"], capture_output=True, text=True, timeout=10, check=False)
        except OSError as error:
            raise Unavailable(str(error)) from None
        if (found := re.search(r"nginx/(\S+)", told.stderr)) is None:
            raise Unavailable(f"it does not run: {told.stderr.strip()}")
        return found[1]

    def command(self, folder: Path, work: Path, port: int, vendors: Sequence[str]) -> Command | None:
        """One worker, which prefers the first vendor and takes no other while that one is thought well."""
        addresses = [urlsplit(vendor).netloc for vendor in vendors]
        # Never thought down (`max_fails`): what is to be seen is what becomes of each request.
        servers = [
            f"    server {each} max_fails=0{' backup' if n else ''};" for n, each in enumerate(addresses)
        ]
        text = _CONFIGURATION.format(work=work, port=port, tries=1 + RETRIES, servers="\n".join(servers))
        file = work / "nginx.conf"
        file.write_text(text)
        return Command([str(_program(folder)), "-p", str(work), "-c", str(file), "-e", "stderr"])


def _program(folder: Path) -> Path:
    return folder / "root" / "usr" / "sbin" / "nginx"
