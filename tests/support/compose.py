"""docker-compose.yml, run as a person runs it: by the command line, in a project of its own."""

import asyncio
import json
import os
import shlex
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final
from uuid import uuid4

from passbook.embedded.ports import LOOPBACK, free_port

ROOT: Final = Path(__file__).parents[2]
_BOUND_S: Final = 600.0


@dataclass(frozen=True, slots=True)
class Compose:
    """One project. What is run and what it answers is printed: it is in the report of the tests."""

    project: str
    files: tuple[str, ...] = ("docker-compose.yml",)
    environment: dict[str, str] = field(default_factory=dict)

    async def __call__(self, *arguments: str, fails: bool = False, quiet: bool = False) -> str:
        """Run `docker compose` with these arguments and return what it printed on stdout.

        Raises:
            AssertionError: it failed, or did not although it should have.
        """
        named = [part for file in self.files for part in ("-f", file)]
        return await docker(
            "compose",
            "-p",
            self.project,
            *named,
            *arguments,
            environment=self.environment,
            fails=fails,
            quiet=quiet,
        )

    async def passbook(self, *arguments: str) -> Any:
        """Run a verb as an operator does and return its JSON document."""
        return json.loads(await self("run", "--rm", "-T", "operator", *arguments, "--json"))

    async def containers(self) -> list[dict[str, Any]]:
        """Return all containers of the project, those that have ended too, as `ps` tells them."""
        lines = (await self("ps", "--all", "--format", "json", quiet=True)).splitlines()
        return [json.loads(line) for line in lines]

    async def ids(self, service: str) -> list[str]:
        """Return the ids of the running containers of a service."""
        return (await self("ps", "--quiet", service, quiet=True)).split()

    async def inspect(self, container: str) -> dict[str, Any]:
        """Return what the engine knows of a container."""
        (found,) = json.loads(await docker("inspect", container, quiet=True))
        known: dict[str, Any] = found
        return known

    def port(self, name: str) -> int:
        """Return the port of this machine that a variable says."""
        return int(self.environment[name])

    @property
    def kafka(self) -> str:
        """Kafka, as programs on this machine reach it."""
        return f"{LOOPBACK}:{self.port('PASSBOOK_KAFKA_PORT')}"

    @property
    def http(self) -> str:
        """The query API's URL."""
        return f"http://{LOOPBACK}:{self.port('PASSBOOK_HTTP_PORT')}"

    async def owner_dsn(self) -> str:
        """Return the DSN of the database's owner, from this machine."""
        password = await docker(
            "exec", *(await self.ids("postgres")), "cat", "/run/secrets/password", quiet=True
        )
        port = self.port("PASSBOOK_POSTGRES_PORT")
        return f"postgresql://passbook:{password.strip()}@{LOOPBACK}:{port}/passbook"


async def docker(
    *arguments: str,
    environment: dict[str, str] | None = None,
    fails: bool = False,
    quiet: bool = False,
) -> str:
    """Run the `docker` command and return its stdout; see `Compose.__call__`."""
    if not quiet:
        print(f"$ docker {shlex.join(arguments)}", flush=True)  # noqa: T201 - the tests' report
    process = await asyncio.create_subprocess_exec(
        "docker",
        *arguments,
        cwd=ROOT,
        env=os.environ | (environment or {}),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    async with asyncio.timeout(_BOUND_S):
        output, errors = (part.decode() for part in await process.communicate())
    if not quiet:
        print(output + errors, flush=True)  # noqa: T201 - the tests' report
    assert (process.returncode != 0) is fails, f"docker {shlex.join(arguments)}: {errors}{output}"
    return output


@asynccontextmanager
async def built_image() -> AsyncIterator[str]:
    """Have the image under a name of this run."""
    name = f"passbook:test-{uuid4().hex[:8]}"
    await docker("build", "--quiet", "-f", "deploy/Dockerfile", "-t", name, ".")
    try:
        yield name
    finally:
        await docker("image", "rm", "--force", name, quiet=True)


@asynccontextmanager
async def running_project(image: str, *overlays: str, **environment: str) -> AsyncIterator[Compose]:
    """Have a healthy project with ports of its own; nothing of it is left after the block."""
    ports = ("PASSBOOK_KAFKA_PORT", "PASSBOOK_POSTGRES_PORT", "PASSBOOK_HTTP_PORT")
    own = {
        **{port: str(free_port()) for port in ports},
        "PASSBOOK_IMAGE": image,
        "PASSBOOK_KAFKA_SESSION_TIMEOUT_S": "6",
        **environment,
    }
    name = f"passbook-test-{uuid4().hex[:8]}"
    compose = Compose(name, ("docker-compose.yml", *overlays), own)
    try:
        await compose("up", "--no-build", "--wait", "--quiet-pull")
        yield compose
    finally:
        await compose("down", "--volumes", "--timeout", "20", quiet=True)
