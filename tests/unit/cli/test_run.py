import os
import subprocess
import sys
from pathlib import Path

import pytest

from passbook.service import EXIT_CONFIGURATION

_COMPLETE = {
    "PASSBOOK_EVENT_STORE_DSN": "postgresql://nobody@127.0.0.1:1/none",
    "PASSBOOK_KAFKA_BOOTSTRAP": "127.0.0.1:1",
    "PASSBOOK_LOG_FORMAT": "json",
}


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"PASSBOOK_KAFKA_BOOTSTRAP": ""}, "PASSBOOK_KAFKA_BOOTSTRAP is not set"),
        ({"PASSBOOK_TOPIC_PARTITIONS": "12"}, "PASSBOOK_TOPIC_PARTITIONS"),
        ({"PASSBOOK_READ_MODEL_DSN_FILE": "/nowhere/dsn"}, "/nowhere/dsn"),
    ],
)
def test_settings_that_make_no_sense_are_refused_by_the_service(
    settings: dict[str, str], reason: str, tmp_path: Path
) -> None:
    """Whoever starts processes goes by the exit code, and reads the service's log.

    Seen to fail: the command line refused first, with 1, as for a bug, and not in the log.
    """
    ended = subprocess.run(
        [sys.executable, "-m", "passbook", "run", "outbox-relay", "--data-dir", str(tmp_path)],
        env=os.environ | _COMPLETE | settings,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ended.returncode == EXIT_CONFIGURATION, ended.stderr
    (refused,) = (
        line for line in (ended.stdout + ended.stderr).splitlines() if "service.refused" in line
    )
    assert reason in refused
