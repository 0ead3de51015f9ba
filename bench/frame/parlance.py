"""Parlance under measurement: as `make run` starts it, but with a data directory, ports and accounts of its own."""
import json
import os
import socket
import urllib.error
import urllib.request

from frame.server import BenchError, Server, free_port

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILD = os.path.abspath(os.environ.get("PARLANCE_BUILD") or os.path.join(ROOT, "build"))


class Parlance(Server):
    """A running Parlance on free ports. options: configuration by key, as {"http.loops": 2}.

    Limits per person and address are off, because one machine plays everybody; nothing else is changed.
    """

    def __init__(self, directory, options=None):
        self.http_port, self.media_port = free_port(), free_port(socket.SOCK_DGRAM)
        self.url = f"http://127.0.0.1:{self.http_port}"
        config = {"data_dir": os.path.join(directory, "data"), "http.port": self.http_port, "tls.enabled": "false",
                  "media.port": self.media_port, "http.rate_limits": "false", "log.level": "warn"}
        config.update(options or {})
        env = {"PARLANCE_" + key.upper().replace(".", "_"): str(value) for key, value in config.items()}
        super().__init__("parlance", [os.path.join(BUILD, "src/parlance"), "serve"], directory, self.http_port,
                         self._is_ready, env)

    def _is_ready(self):
        try:
            with urllib.request.urlopen(self.url + "/ready", timeout=2) as answer:
                return answer.status == 200
        except OSError:
            return False

    def request(self, method, path, body=None, token=None):
        """The decoded JSON answer; BenchError with the server's words on anything but 2xx."""
        headers = {"Content-Type": "application/json"}
        if token:
            headers["Authorization"] = "Bearer " + token
        data = json.dumps(body).encode() if body is not None else None
        request = urllib.request.Request(self.url + path, data, headers, method=method)
        try:
            with urllib.request.urlopen(request, timeout=20) as answer:
                text = answer.read()
        except urllib.error.HTTPError as e:
            raise BenchError(f"{method} {path}: {e.code} {e.read().decode(errors='replace')}") from None
        return json.loads(text) if text else {}

    def register(self, name):
        """A new account's access token."""
        answer = self.request("POST", "/api/v1/auth/register",
                              {"username": name, "password": "correct horse 7 battery", "email": f"{name}@example.org"})
        return answer["access_token"]
