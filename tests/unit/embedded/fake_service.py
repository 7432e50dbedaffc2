"""A service that does as its argument says; standard library only, so that it starts fast.

Arguments: how to behave, and a file in which each start leaves a line. Run as a program.
"""

import os
import signal
import socket
import sys
from pathlib import Path
from typing import NoReturn


def main(behaviour: str, trace: Path) -> None:
    """Behave."""
    with trace.open("a") as file:
        file.write(f"{os.getpid()}\n")
    starts = len(trace.read_text().splitlines())
    say(f"start {starts}")
    match behaviour:
        case "refuse":
            sys.exit(78)
        case "crash":
            sys.exit(3)
        case "crash-once" if starts == 1:
            os.kill(os.getpid(), signal.SIGKILL)
        case "deaf":
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
        case _:
            signal.signal(signal.SIGTERM, lambda *_: stop(trace))
    answer_for_ever(b"503 Later" if behaviour == "unready" else b"200 OK")


def say(line: str) -> None:
    """Write a line of log."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def stop(trace: Path) -> NoReturn:
    """End as asked, and leave a line that says when."""
    with trace.open("a") as file:
        file.write("stopped\n")
    say("stopped")
    sys.exit(0)


def answer_for_ever(status: bytes) -> NoReturn:
    """Answer every request alike."""
    server = socket.create_server(("127.0.0.1", int(os.environ["PASSBOOK_METRICS_PORT"])))
    while True:
        client, _ = server.accept()
        with client:
            client.recv(1024)
            client.sendall(b"HTTP/1.1 " + status + b"\r\nContent-Length: 0\r\n\r\n")


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
