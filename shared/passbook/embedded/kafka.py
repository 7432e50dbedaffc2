"""Kafka 4.3.1 as a child process: KRaft, one node that is broker and controller."""

import asyncio
import shutil
import signal
from pathlib import Path
from typing import Final

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError

from passbook.embedded.cache import cache_dir
from passbook.embedded.errors import StartError
from passbook.embedded.jars import ensure_jars, read_lock
from passbook.embedded.java import Java
from passbook.embedded.kafka_settings import LOG4J, new_cluster_id, properties
from passbook.embedded.locks import FileLock
from passbook.embedded.orphans import is_ours, stop_orphan
from passbook.embedded.ports import LOOPBACK, accepts, is_free, remembered_port
from passbook.embedded.privileges import make_open_dir
from passbook.embedded.process import POLL_S, Child
from passbook.messaging.security import KafkaServers, connection_options

FORMAT_BOUND_S: Final = 60.0
READY_BOUND_S: Final = 60.0  # recovery of the logs after a kill included
STOP_BOUND_S: Final = 20.0
REQUEST_BOUND_S: Final = 5.0
START_ATTEMPTS: Final = 3


class EmbeddedKafka:
    """A Kafka node that lives in `data_dir` and as long as this process.

    `data_dir` keeps the topics (`data`), the settings, the logs and the ports.
    """

    def __init__(self, data_dir: Path, *, quick_start: bool = True) -> None:
        """Name the directory; nothing is touched before `start`.

        `quick_start=False` is for benchmarks: the JVM uses its best compiler, which makes the start
        slower.
        """
        self.data_dir = data_dir.resolve()
        self.log = self.data_dir / "kafka.log"
        self.output = self.data_dir / "kafka.out"
        self.port = 0
        self._quick_start = quick_start
        self._lock = FileLock(self.data_dir / "lock")
        self._child: Child | None = None

    @property
    def pid(self) -> int | None:
        """The process id of the JVM while it runs."""
        return self._child.pid if self._child is not None else None

    @property
    def bootstrap(self) -> str:
        """Where clients connect: `127.0.0.1:port`."""
        return f"{LOOPBACK}:{self.port}"

    async def start(self) -> None:
        """Serve clients, after downloading jars that are missing.

        A node that a dead process left behind is stopped first.

        Raises:
            DataDirectoryBusyError: a live process runs on this directory.
            DownloadError: a jar is missing and not to be had.
            StartError: the node gave up; its log says why.
        """
        make_open_dir(self.data_dir)
        self._lock.acquire()
        try:
            await self._clear_remains()
            await self._launch(await self._java())
        except BaseException:
            await self.stop()
            raise

    async def ended(self) -> None:
        """Return when the node has ended, however it did; at once when it does not run."""
        if self._child is not None:
            await self._child.wait()

    async def stop(self) -> None:
        """End the node, so that its logs need no recovery; harmless when it does not run."""
        child, self._child = self._child, None
        try:
            if child is not None:
                await child.stop(signal.SIGTERM, STOP_BOUND_S)
                self._pid_file.unlink(missing_ok=True)
        finally:
            self._lock.release()

    @property
    def _pid_file(self) -> Path:
        return self.data_dir / "kafka.pid"

    @property
    def _properties(self) -> Path:
        return self.data_dir / "server.properties"

    @property
    def _format_properties(self) -> Path:
        return self.data_dir / "format.properties"

    async def _clear_remains(self) -> None:
        """Stop the node that a killed parent left behind (dead, since we hold the lock)."""
        try:
            pid = int(self._pid_file.read_text())
        except (FileNotFoundError, ValueError):
            return
        if pid > 0 and is_ours(pid, self._properties):
            await stop_orphan(pid, self._properties, signal.SIGTERM, STOP_BOUND_S)
        self._pid_file.unlink()

    async def _java(self) -> Java:
        lock = read_lock()
        jars = await ensure_jars(lock.jars, cache_dir() / f"kafka-{lock.kafka}")
        java = Java(tuple(jars), self.data_dir, self.output, self._quick_start)
        shutil.rmtree(java.scratch, ignore_errors=True)
        java.scratch.mkdir()
        return java

    async def _launch(self, java: Java) -> None:
        """Start until it answers; again, on other ports, when somebody took one in between."""
        for attempt in range(1, START_ATTEMPTS + 1):
            controller = self._configure()
            await self._format(java)
            self._child = java.run("kafka.Kafka", str(self._properties))
            self._pid_file.write_text(f"{self._child.pid}\n")
            try:
                await self._ready(self._child)
            except StartError:
                ports_are_free = is_free(self.port) and is_free(controller)
                if attempt == START_ATTEMPTS or self._child.returncode is None or ports_are_free:
                    raise
            else:
                return

    def _configure(self) -> int:
        """Write the settings for ports that are free now, and return the controller's.

        Paths in them are relative to the working directory: Java reads properties as Latin-1.
        """
        self.port = remembered_port(self.data_dir / "port")
        controller = remembered_port(self.data_dir / "controller.port")
        self._properties.write_text(properties("data", self.port, controller))
        self._format_properties.write_text(properties("data.new", self.port, controller))
        (self.data_dir / "log4j2.properties").write_text(LOG4J)
        return controller

    async def _format(self, java: Java) -> None:
        """Format beside the final name: an interrupted run is never taken for a finished one."""
        data, scratch = self.data_dir / "data", self.data_dir / "data.new"
        if data.exists():
            return
        shutil.rmtree(scratch, ignore_errors=True)
        child = java.run(
            *("kafka.tools.StorageTool", "format", "--standalone"),
            *("-t", new_cluster_id(), "-c", str(self._format_properties)),
        )
        if (status := await child.finish(FORMAT_BOUND_S)) != 0:
            raise StartError("kafka format", f"exit status {status}", self.output)
        scratch.rename(data)

    async def _ready(self, child: Child) -> None:
        try:
            async with asyncio.timeout(READY_BOUND_S):
                while child.returncode is None:
                    if await accepts(self.port) and await self._answers():
                        return
                    await asyncio.sleep(POLL_S)
        except TimeoutError:
            raise StartError("kafka", f"no answer within {READY_BOUND_S:.0f} s", self.log) from None
        raise StartError("kafka", f"exit status {child.returncode}", self.log)

    async def _answers(self) -> bool:
        return await self._describes_itself(KafkaServers(self.bootstrap))

    async def _describes_itself(self, kafka: KafkaServers) -> bool:
        """Ask for the cluster's description: the port is open long before the node can serve."""
        admin = AIOKafkaAdminClient(
            **connection_options(kafka), request_timeout_ms=int(REQUEST_BOUND_S * 1000)
        )
        try:
            await admin.start()
            description = await admin.describe_cluster()
        except (KafkaError, OSError, TimeoutError):
            return False
        finally:
            await admin.close()
        return bool(description["brokers"])
