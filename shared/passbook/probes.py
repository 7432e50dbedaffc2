"""The probes of a service: a small HTTP server in a thread of its own, so that it answers also while
the event loop is busy.
"""

import sys
import threading
from collections.abc import Callable, Iterable, Mapping
from socketserver import ThreadingMixIn
from typing import TYPE_CHECKING
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from prometheus_client import make_wsgi_app

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment


class _Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True


class _QuietHandler(WSGIRequestHandler):
    timeout = 5

    def log_message(self, *_arguments: object) -> None:
        """Probes come every few seconds; nobody wants to read that."""


def serve_probes(host: str, port: int, probes: Mapping[str, Callable[[], str]]) -> WSGIServer:
    """Serve `/metrics` and `probes`, path → what is wrong, "" when nothing is.

    Ends the process when it cannot listen there.
    """
    metrics = make_wsgi_app()

    def answer(environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        path = environ["PATH_INFO"]
        if path == "/metrics":
            page: Iterable[bytes] = metrics(environ, start_response)
            return page
        if path not in probes:
            start_response("404 Not Found", [("Content-Type", "text/plain")])
            return [b"not found\n"]
        problem = probes[path]()
        status = "503 Service Unavailable" if problem else "200 OK"
        start_response(status, [("Content-Type", "text/plain; charset=utf-8")])
        return [f"{problem or 'ok'}\n".encode()]

    try:
        server = make_server(host, port, answer, server_class=_Server, handler_class=_QuietHandler)
    except OSError as error:
        sys.exit(f"cannot listen on {host}:{port}: {error}")
    threading.Thread(target=server.serve_forever, daemon=True, name="probes").start()
    return server
