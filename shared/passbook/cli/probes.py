"""Asks the services of this machine how they are, the way an orchestrator would."""

import asyncio
import urllib.error
import urllib.request
from dataclasses import dataclass
from typing import Final

from passbook.embedded.endpoints import Endpoints, ServiceEndpoint

_ANSWER_BOUND_S: Final = 2.0
# The environment may name a proxy; nothing on this machine is reached through one.
_HERE: Final = urllib.request.build_opener(urllib.request.ProxyHandler({}))


@dataclass(frozen=True, slots=True)
class ServiceState:
    """One process of a service; `pid` is None while it does not run.

    `state` is `ready`, `stopped`, or why it is not ready, in the service's own words.
    """

    name: str
    pid: int | None
    state: str
    ready: bool


async def service_states(endpoints: Endpoints) -> list[ServiceState]:
    """Return every process of every service, in the order in which work flows."""
    known: list[tuple[str, ServiceEndpoint | None]] = [
        (name, process)
        for name, processes in endpoints.services.items()
        for process in (*processes, *([] if processes else [None]))
    ]
    return await asyncio.gather(*(_state(name, process) for name, process in known))


async def metrics(process: ServiceEndpoint) -> str:
    """Return what a process says about itself to Prometheus; empty when it does not answer."""
    _, text = await asyncio.to_thread(_get, process.metrics_url)
    return text


async def _state(name: str, process: ServiceEndpoint | None) -> ServiceState:
    if process is None:
        return ServiceState(name, None, "stopped", ready=False)
    url = process.metrics_url.removesuffix("/metrics") + "/readyz"
    ready, text = await asyncio.to_thread(_get, url)
    return ServiceState(name, process.pid, "ready" if ready else text or "no answer", ready)


def _get(url: str) -> tuple[bool, str]:
    try:
        with _HERE.open(url, timeout=_ANSWER_BOUND_S) as response:
            return True, response.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return False, error.read().decode(errors="replace").strip()
    except OSError:
        return False, ""
