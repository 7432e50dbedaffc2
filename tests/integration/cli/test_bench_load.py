"""What `passbook bench load` measures is two ways to the same account, one of them much shorter."""

from passbook.cli.bench.load import _measure
from tests.support.databases import OpenPool


async def test_a_long_history_is_loaded_faster_through_its_snapshot(pools: OpenPool) -> None:
    """The figure is the benchmark's; here it only has to be beyond chance, on a busy machine."""
    report = await _measure(await pools("passbook_command_service"), events=3_000, rounds=3)
    assert report["same_account"]
    assert (report["events"], report["rest"]) == (3_000, 99)
    assert report["ratio"] > 3


async def test_a_short_history_is_measured_too(pools: OpenPool) -> None:
    for events in (1, 2, 50):
        report = await _measure(await pools("passbook_command_service"), events=events, rounds=1)
        assert (report["same_account"], report["rest"]) == (True, events - 1)
