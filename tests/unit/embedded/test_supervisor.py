"""Services are processes that come back after a crash and end in order."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest

from passbook.embedded.datadir import DataDir
from passbook.embedded.endpoints import Endpoints
from passbook.embedded.errors import NotReadyError, NotRunningError, NotStoppedError
from passbook.embedded.service_process import ServiceSpec, State
from passbook.embedded.supervisor import Supervisor, down
from tests.support.until import is_alive, until
from tests.unit.embedded.supervised import spec

ENDPOINTS = Endpoints("127.0.0.1:9092", "postgresql://store", "postgresql://read")
Supervise = Callable[..., Supervisor]


@pytest.fixture
def output() -> list[tuple[str, str]]:
    """Collect what services and supervisor write."""
    return []


@pytest.fixture
def data_dir(tmp_path: Path) -> Iterator[DataDir]:
    """Give a data directory that this process holds."""
    data_dir = DataDir(tmp_path / "data")
    with data_dir.hold():
        yield data_dir


@pytest.fixture
def supervise(data_dir: DataDir, output: list[tuple[str, str]]) -> Supervise:
    """Give a maker of supervisors."""

    def make(*specs: ServiceSpec) -> Supervisor:
        return Supervisor(
            data_dir, ENDPOINTS, specs, lambda label, line: output.append((label, line))
        )

    return make


@pytest.fixture
def program(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """Run a supervisor as a program of its own, and give it once its services are ready."""
    argv = [sys.executable, "-m", "tests.unit.embedded.supervised", str(tmp_path)]
    with subprocess.Popen(
        argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as program:
        assert program.stdout is not None
        assert program.stdout.readline() == "ready\n"
        try:
            yield program
        finally:
            program.kill()


def service_pids(folder: Path) -> list[int]:
    """Return the pids that `endpoints.json` names."""
    endpoints = DataDir(folder).endpoints()
    assert endpoints is not None
    return [process.pid for processes in endpoints.services.values() for process in processes]


def restarted(running: Supervisor, times: int) -> bool:
    """Tell whether the first service has crashed this often."""
    return running.services[0].restarts == times


async def test_services_become_ready_and_are_found_in_the_data_directory(
    supervise: Supervise, data_dir: DataDir, tmp_path: Path
) -> None:
    async with supervise(
        spec("one", "ready", tmp_path), spec("one", "ready", tmp_path, instance=2)
    ) as running:
        statuses = await running.wait_ready(10)
        endpoints = data_dir.endpoints()
    assert [status.state for status in statuses] == [State.READY, State.READY]
    assert endpoints is not None
    assert [process.pid for process in endpoints.services["one"]] == [
        status.pid for status in statuses
    ]
    assert endpoints.services["one"][0].metrics_url == (
        f"http://127.0.0.1:{statuses[0].metrics_port}/metrics"
    )


async def test_output_is_given_line_by_line_with_the_label(
    supervise: Supervise, output: list[tuple[str, str]], tmp_path: Path
) -> None:
    two = spec("one", "ready", tmp_path, instance=2)
    async with supervise(spec("one", "ready", tmp_path), two) as running:
        await running.wait_ready(10)
    assert sorted(line for line in output if line[0] != "supervisor") == [
        ("one", "start 1"),
        ("one", "stopped"),
        ("one.2", "start 1"),
        ("one.2", "stopped"),
    ]


async def test_killed_service_comes_back_and_endpoints_name_the_new_process(
    supervise: Supervise, data_dir: DataDir, tmp_path: Path
) -> None:
    async with supervise(spec("one", "ready", tmp_path)) as running:
        (before,) = await running.wait_ready(10)
        assert before.pid is not None
        os.kill(before.pid, signal.SIGKILL)
        await until(lambda: running.services[0].restarts == 1)
        (after,) = await running.wait_ready(10)
        assert service_pids(data_dir.path) == [after.pid]
    assert after.pid != before.pid


async def test_crash_is_reported_with_its_reason(
    supervise: Supervise, output: list[tuple[str, str]], tmp_path: Path
) -> None:
    async with supervise(spec("one", "crash", tmp_path)) as running:
        await until(lambda: running.services[0].state is State.BACKOFF)
    assert output[1][0] == "supervisor"
    assert output[1][1].startswith("one ended with exit status 3; starting it again in 0.")


async def test_pause_doubles_to_its_ceiling_and_starts_over_after_health(
    supervise: Supervise, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ceilings: list[float] = []

    def at_once(_: float, ceiling: float) -> float:
        ceilings.append(ceiling)
        return 0.0

    monkeypatch.setattr("random.uniform", at_once)
    async with supervise(spec("one", "crash", tmp_path)) as running:
        await until(lambda: running.services[0].restarts >= 8)
    assert ceilings[:8] == [0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 10.0, 10.0]
    ceilings.clear()
    monkeypatch.setattr("passbook.embedded.service_process.HEALTHY_AFTER_S", 0.0)
    async with supervise(spec("two", "ready", tmp_path)) as running:
        for crash in (1, 2, 3):
            (status,) = await running.wait_ready(10)
            assert status.pid is not None
            os.kill(status.pid, signal.SIGKILL)
            await until(partial(restarted, running, crash))
    assert ceilings == [0.2, 0.2, 0.2]


async def test_refused_configuration_is_said_and_the_others_go_on(
    supervise: Supervise, output: list[tuple[str, str]], tmp_path: Path
) -> None:
    refusing = spec("one", "refuse", tmp_path)
    async with supervise(refusing, spec("two", "ready", tmp_path)) as running:
        statuses = await running.wait_ready(10)
        assert [status.state for status in statuses] == [State.REFUSED, State.READY]
        assert [status.pid is None for status in statuses] == [True, False]
    assert ("supervisor", "one configuration refused; going on without it") in output
    assert (tmp_path / "one1.trace").read_text().count("\n") == 1


async def test_program_that_does_not_exist_is_refused(
    supervise: Supervise, output: list[tuple[str, str]], tmp_path: Path
) -> None:
    async with supervise(ServiceSpec("one", (str(tmp_path / "nothing"),))) as running:
        (status,) = await running.wait_ready(10)
    assert status.state is State.REFUSED
    assert "No such file" in output[0][1]


async def test_unready_service_is_named_when_the_time_is_over(
    supervise: Supervise, tmp_path: Path
) -> None:
    late = spec("late", "unready", tmp_path)
    async with supervise(spec("one", "ready", tmp_path), late) as running:
        await until(lambda: running.services[0].state is State.READY)
        with pytest.raises(NotReadyError) as refusal:
            await running.wait_ready(0.2)
    assert refusal.value.labels == ("late",)


async def test_services_stop_in_their_order(supervise: Supervise, tmp_path: Path) -> None:
    last = spec("last", "ready", tmp_path, stop_order=2)
    first = spec("first", "ready", tmp_path, stop_order=1)
    async with supervise(last, first) as running:
        await running.wait_ready(10)
    times = [(tmp_path / f"{name}1.trace").stat().st_mtime_ns for name in ("first", "last")]
    assert times == sorted(times)
    assert [status.state for status in running.services] == [State.STOPPED, State.STOPPED]


async def test_deaf_service_is_killed_at_the_end_of_the_bound(
    supervise: Supervise,
    output: list[tuple[str, str]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("passbook.embedded.service_process.STOP_BOUND_S", 0.2)
    async with supervise(spec("one", "deaf", tmp_path)) as running:
        (status,) = await running.wait_ready(10)
    assert status.pid is not None
    assert not is_alive(status.pid)
    assert "killed" in output[-1][1]


async def test_exception_of_the_block_stops_the_services_and_comes_out_as_it_is(
    supervise: Supervise, tmp_path: Path
) -> None:
    async def fail() -> None:
        async with supervise(spec("one", "ready", tmp_path)) as running:
            await running.wait_ready(10)
            raise KeyError

    with pytest.raises(KeyError):
        await fail()
    assert "stopped" in (tmp_path / "one1.trace").read_text()


async def test_cancelled_block_stops_the_services(supervise: Supervise, tmp_path: Path) -> None:
    ready = asyncio.Event()

    async def run() -> None:
        async with supervise(spec("one", "ready", tmp_path)) as running:
            await running.wait_ready(10)
            ready.set()
            await asyncio.Event().wait()

    task = asyncio.create_task(run())
    await ready.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert "stopped" in (tmp_path / "one1.trace").read_text()


def test_two_services_of_one_label_are_refused(supervise: Supervise, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="same name"):
        supervise(spec("one", "ready", tmp_path), spec("one", "ready", tmp_path))


async def test_down_stops_everything_and_returns_when_it_has_ended(
    program: subprocess.Popen[str], tmp_path: Path
) -> None:
    """Sharp: with a `down` that waits only for the lock, the program is still there."""
    pids = [*service_pids(tmp_path), program.pid]
    await down(DataDir(tmp_path), 10)
    assert not any(map(is_alive, pids))
    assert program.wait(5) == 0
    assert not (tmp_path / "endpoints.json").exists()


async def test_down_without_a_supervisor_says_so(tmp_path: Path) -> None:
    with pytest.raises(NotRunningError):
        await down(DataDir(tmp_path), 1)


async def test_down_says_who_is_still_there_when_the_time_is_over(
    program: subprocess.Popen[str], tmp_path: Path
) -> None:
    os.kill(program.pid, signal.SIGSTOP)
    with pytest.raises(NotStoppedError) as refusal:
        await down(DataDir(tmp_path), 0.1)
    assert refusal.value.pid == program.pid


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
async def test_signals_stop_in_order_also_when_repeated(
    program: subprocess.Popen[str], tmp_path: Path, number: signal.Signals
) -> None:
    pids = service_pids(tmp_path)
    for _ in range(3):
        program.send_signal(number)
    assert program.wait(10) == 0
    assert not any(map(is_alive, pids))
    assert all("stopped" in (tmp_path / f"{name}1.trace").read_text() for name in ("one", "two"))


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux signals the children of the dead")
async def test_killed_supervisor_leaves_nothing_running(
    program: subprocess.Popen[str], tmp_path: Path
) -> None:
    pids = service_pids(tmp_path)
    program.kill()
    await until(lambda: not any(map(is_alive, pids)), 5)
    await until(lambda: not DataDir(tmp_path).is_running())
    assert DataDir(tmp_path).endpoints() is None
