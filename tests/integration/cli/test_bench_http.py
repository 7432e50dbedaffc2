"""The load generator of `bench http`: what it counts is what was answered."""

from passbook.cli.bench.http_load import generate
from tests.support.http import serving


async def test_every_answer_is_counted_with_its_status() -> None:
    async with serving(None) as served:
        task = {
            "url": str(served.client.base_url),
            "method": "GET",
            "paths": ["/nothing", "/v1/accounts"],
            "connections": 4,
            "seconds": 0.3,
        }
        report = await generate(task)
        answered = sum(report["statuses"].values())
        assert set(report["statuses"]) == {"404", "503"}
        assert report["per_s"] > 0
        assert 0 < report["p50_ms"] <= report["p99_ms"]

        task |= {"method": "POST", "paths": ["/v1/accounts"], "body": "{}"}
        assert set((await generate(task))["statuses"]) == {"503"}
    assert answered > 4
