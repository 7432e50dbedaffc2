"""Kafka's own console tools: Java, and no line of ours."""

import asyncio
import subprocess
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from passbook.embedded.cache import cache_dir
from passbook.embedded.jars import ensure_jars, read_lock
from passbook.embedded.java import Java
from tests.support.contract import Record

_TOOLS: Final = Path(__file__).parent / "kafka-tools.lock.json"
_PRODUCER: Final = "org.apache.kafka.tools.ConsoleProducer"
_CONSUMER: Final = "org.apache.kafka.tools.consumer.ConsoleConsumer"
_FIELD: Final = "\t"
_HEADER: Final = ";"
_BOUND_S: Final = 30


class Console:
    """The two tools, with the Java runtime and the jars of the embedded Kafka."""

    def __init__(self, java: Java, bootstrap: str) -> None:
        """Take the runtime."""
        self._java = java
        self._bootstrap = bootstrap

    @classmethod
    async def installed(cls, folder: Path, bootstrap: str) -> "Console":
        """Return the tools, after downloading what is missing; they write to `folder`."""
        jars = [*read_lock().jars, *read_lock(_TOOLS).jars]
        paths = await ensure_jars(jars, cache_dir() / f"kafka-{read_lock().kafka}")
        java = Java(tuple(paths), folder, folder / "console.log", quick_start=True)
        java.scratch.mkdir(parents=True)
        (folder / "log4j2.properties").write_text("rootLogger.level = off\n", encoding="utf-8")
        return cls(java, bootstrap)

    async def publish(self, topic: str, records: Iterable[Record]) -> None:
        """Publish records, in their order."""
        lines = "".join(
            _FIELD.join((_HEADER.join(map(":".join, headers.items())), key, value)) + "\n"
            for key, value, headers in records
        )
        await self._run(
            _PRODUCER,
            *("--topic", topic),
            *_properties("--reader-property", "parse.headers=true", "parse.key=true"),
            *_properties("--reader-property", f"headers.separator={_HEADER}"),
            given=lines,
        )

    async def read(self, topic: str, number: int) -> list[Record]:
        """Return the first records of a topic; fails when there are not so many in time."""
        lines = await self._run(
            _CONSUMER,
            *("--topic", topic, "--from-beginning", "--max-messages", str(number)),
            *("--timeout-ms", str(_BOUND_S * 1000)),
            *_properties("--formatter-property", "print.headers=true", "print.key=true"),
            *_properties("--formatter-property", f"headers.separator={_HEADER}"),
        )
        records = [_record(line) for line in lines.splitlines()]
        assert len(records) == number
        return records

    async def _run(self, tool: str, *arguments: str, given: str = "") -> str:
        command = self._java.argv(tool, "--bootstrap-server", self._bootstrap, *arguments)
        process = await asyncio.create_subprocess_exec(
            *command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        try:
            async with asyncio.timeout(_BOUND_S):
                output, errors = await process.communicate(given.encode())
        except TimeoutError:
            process.kill()
            await process.wait()
            raise
        assert process.returncode == 0, errors.decode()
        return output.decode()


def _properties(option: str, *settings: str) -> list[str]:
    return [part for setting in settings for part in (option, setting)]


def _record(line: str) -> Record:
    headers, key, value = line.split(_FIELD, 2)
    pairs = (header.partition(":") for header in headers.split(_HEADER))
    return Record(key, value, {name: text for name, _, text in pairs})
