"""A Maven repository on loopback that answers what a test tells it to."""

import threading
from collections import defaultdict, deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass(frozen=True, slots=True)
class Answer:
    """An HTTP answer; `missing` bytes of the declared length are never sent."""

    body: bytes = b""
    status: int = 200
    missing: int = 0


@dataclass(slots=True)
class Maven:
    """The answers left for each path (the last one repeats), and the paths that were asked for."""

    url: str
    answers: dict[str, deque[Answer]] = field(default_factory=lambda: defaultdict(deque))
    requests: list[str] = field(default_factory=list)

    def answer(self, path: str, *answers: Answer) -> None:
        """Answer requests for a path with these, in turn."""
        self.answers[f"/{path}"].extend(answers)

    def next_answer(self, path: str) -> Answer:
        """Return what to answer now."""
        self.requests.append(path)
        answers = self.answers[path]
        if not answers:
            return Answer(status=404)
        return answers.popleft() if len(answers) > 1 else answers[0]


@contextmanager
def running_maven() -> Iterator[Maven]:
    """Serve for the length of the block."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            answer = maven.next_answer(self.path)
            self.send_response(answer.status)
            self.send_header("Content-Length", str(len(answer.body) + answer.missing))
            self.end_headers()
            self.wfile.write(answer.body)

        def log_message(self, *_: object) -> None:
            pass

    class Server(ThreadingHTTPServer):
        request_queue_size = 64

    with Server(("127.0.0.1", 0), Handler) as server:
        maven = Maven(f"http://127.0.0.1:{server.server_port}")
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield maven
        finally:
            server.shutdown()
            thread.join()
