"""The data directory remembers secrets, and knows whether it is in use."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from passbook.embedded.datadir import DataDir
from passbook.embedded.endpoints import Endpoints, ServiceEndpoint
from passbook.embedded.errors import DataDirectoryBusyError, DataDirectoryError

ENDPOINTS = Endpoints(
    kafka_bootstrap="127.0.0.1:9092",
    event_store_dsn="postgresql://one",
    read_model_dsn="postgresql://two",
    admin_dsn="postgresql://three",
    http_url=None,
    services={"one": [ServiceEndpoint(17, "http://127.0.0.1:9000/metrics")]},
)


def mode(path: Path) -> int:
    """Return the permission bits."""
    return path.stat().st_mode & 0o777


def test_place_is_named_or_from_the_environment_or_in_the_working_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("PASSBOOK_DATA_DIR", raising=False)
    assert DataDir().path == tmp_path / ".passbook"
    monkeypatch.setenv("PASSBOOK_DATA_DIR", "elsewhere")
    assert DataDir().path == tmp_path / "elsewhere"
    assert DataDir(Path("named")).path == tmp_path / "named"


def test_secrets_are_private_and_stay(tmp_path: Path) -> None:
    data_dir = DataDir(tmp_path / "data")
    data_dir.create()
    password = data_dir.password("command-service")
    assert len(password) >= 24
    assert DataDir(tmp_path / "data").password("command-service") == password
    assert data_dir.password("outbox-relay") != password
    assert mode(tmp_path / "data" / "secrets") == 0o700
    assert mode(tmp_path / "data" / "secrets" / "command-service") == 0o600


def test_git_ignores_the_directory(tmp_path: Path) -> None:
    DataDir(tmp_path / "data").create()
    assert (tmp_path / "data" / ".gitignore").read_text() == "*\n"


def test_endpoints_are_private_and_end_with_the_run(tmp_path: Path) -> None:
    data_dir = DataDir(tmp_path)
    with data_dir.hold():
        assert data_dir.endpoints() is None
        data_dir.write_endpoints(ENDPOINTS)
        assert DataDir(tmp_path).endpoints() == ENDPOINTS
        assert mode(tmp_path / "endpoints.json") == 0o600
    assert data_dir.endpoints() is None
    assert not (tmp_path / "endpoints.json").exists()


def test_endpoints_have_the_public_shape() -> None:
    assert Endpoints.from_json(ENDPOINTS.to_json()) == ENDPOINTS
    assert '"services": {\n    "one": [\n      {\n        "pid": 17,' in ENDPOINTS.to_json()


def test_one_supervisor_at_a_time_and_its_pid_is_known(tmp_path: Path) -> None:
    data_dir = DataDir(tmp_path)
    assert data_dir.supervisor_pid() is None
    with data_dir.hold():
        assert data_dir.is_running()
        assert data_dir.supervisor_pid() == os.getpid()
        with pytest.raises(DataDirectoryBusyError), DataDir(tmp_path).hold():
            pass
    assert not data_dir.is_running()


def test_remains_of_a_killed_supervisor_mean_nothing(tmp_path: Path) -> None:
    program = (
        "import os, pathlib, sys; from passbook.embedded.datadir import DataDir\n"
        "with DataDir(pathlib.Path(sys.argv[1])).hold(): os.kill(os.getpid(), 9)"
    )
    subprocess.run([sys.executable, "-c", program, str(tmp_path)], check=False)
    assert (tmp_path / "supervisor.pid").exists()
    assert DataDir(tmp_path).supervisor_pid() is None
    with DataDir(tmp_path).hold():
        assert DataDir(tmp_path).supervisor_pid() == os.getpid()


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have no /proc")
def test_pid_that_does_not_have_the_lock_open_is_not_the_supervisor(tmp_path: Path) -> None:
    with DataDir(tmp_path).hold(), subprocess.Popen(["/bin/sleep", "60"]) as stranger:
        (tmp_path / "supervisor.pid").write_text(f"{stranger.pid}\n")
        found = DataDir(tmp_path).supervisor_pid()
        stranger.kill()
    assert found is None


def test_file_in_the_place_of_the_directory_is_refused(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("")
    with pytest.raises(DataDirectoryError, match="data"):
        DataDir(tmp_path / "data").create()
