"""A program that runs both servers until it is told to stop, or killed.

Arguments: the data directory, and `orphans` to leave the servers behind when it is killed.
Prints one line of JSON when they run.
"""

import asyncio
import json
import sys
from pathlib import Path

from passbook.embedded import process
from passbook.embedded.servers import embedded_servers
from passbook.embedded.signals import run_until_signalled


async def hold(data_dir: Path) -> None:
    """Run until cancelled."""
    async with embedded_servers(data_dir) as servers:
        document = {
            "pids": [servers.postgres.pid, servers.kafka.pid],
            "dsn": servers.postgres.admin_dsn,
            "bootstrap": servers.kafka.bootstrap,
        }
        sys.stdout.write(json.dumps(document) + "\n")
        sys.stdout.flush()
        await asyncio.Event().wait()


if __name__ == "__main__":
    if sys.argv[2:] == ["orphans"]:
        process.__dict__["_die_with"] = lambda _: None
    asyncio.run(run_until_signalled(hold(Path(sys.argv[1]))))
