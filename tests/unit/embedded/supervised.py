"""A program that supervises two fake services until it is told to stop. Argument: a directory."""

import asyncio
import sys
import time
from pathlib import Path

from passbook.embedded.datadir import DataDir
from passbook.embedded.endpoints import Endpoints
from passbook.embedded.service_logs import terminal_sink
from passbook.embedded.service_process import ServiceSpec
from passbook.embedded.signals import run_until_signalled
from passbook.embedded.supervisor import Supervisor

LINGER_S = 0.3  # after everything is stopped and let go of, as a big interpreter does
FAKE = Path(__file__).with_name("fake_service.py")


def spec(
    name: str, behaviour: str, folder: Path, *, stop_order: int = 0, instance: int = 1
) -> ServiceSpec:
    """Return how to run a fake service, which leaves its trace in `folder`."""
    argv = (
        sys.executable,
        *("-I", "-S", str(FAKE)),
        behaviour,
        str(folder / f"{name}{instance}.trace"),
    )
    return ServiceSpec(name, argv, stop_order=stop_order, instance=instance)


async def supervise(folder: Path) -> None:
    """Supervise until cancelled."""
    data_dir = DataDir(folder)
    specs = [spec("one", "ready", folder), spec("two", "ready", folder)]
    with data_dir.hold():
        endpoints = Endpoints("kafka", "store", "read")
        async with Supervisor(data_dir, endpoints, specs, terminal_sink(["one", "two"])) as running:
            await running.wait_ready(10)
            sys.stdout.write("ready\n")
            sys.stdout.flush()
            await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(run_until_signalled(supervise(Path(sys.argv[1]))))
    time.sleep(LINGER_S)
