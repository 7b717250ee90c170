"""An application behind a gateway, to try one with: it answers with what reached it. Put yours in its place."""

import json
import os
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        told = {
            "method": self.command,
            "path": self.path,
            "who": {name: value for name, value in self.headers.items() if name.lower().startswith("x-auth-")},
        }
        body = json.dumps(told, indent=1).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    do_HEAD = do_GET  # noqa: N815 -- http.server's name


if __name__ == "__main__":
    host, _, port = os.environ.get("APP_ADDRESS", "0.0.0.0:8000").rpartition(":")
    ThreadingHTTPServer((host, int(port)), Handler).serve_forever()
