"""Off is free, and on without the extra is refused."""

import asyncio
import sys
from typing import Final

from passbook.service import EXIT_CONFIGURATION

_SERVICES: Final = ("command_service", "outbox_relay", "balance_projector", "audit_projector")
_LOADED: Final = """
import importlib, sys
for name in sys.argv[1:]:
    importlib.import_module(name)
import passbook.projection.service
from passbook.tracing.switch import exporting, processing, sending
with exporting("off", "a-service"):
    assert processing("off", "bank.events", "bank.group", str, dict) is None
    assert sending("off", "bank.events", str, dict) is None
print(*sorted(name for name in sys.modules if name.startswith("opentelemetry")))
"""
_WITHOUT: Final = """
import sys

class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name.startswith(("opentelemetry.sdk", "opentelemetry.exporter")):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Blocked())
import runpy
runpy.run_module(sys.argv[1], run_name="__main__")
"""


async def run(program: str, *arguments: str, **environment: str) -> tuple[int, str, str]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-P", "-c", program, *arguments),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env=environment or None,
    )
    async with asyncio.timeout(60):
        output, errors = await process.communicate()
    assert process.returncode is not None
    return process.returncode, output.decode(), errors.decode()


async def test_off_nothing_of_opentelemetry_is_imported() -> None:
    """Seen to fail: with an import of `passbook.tracing.batches` outside of `TYPE_CHECKING`."""
    modules = [f"services.{name}.__main__" for name in _SERVICES if "projector" not in name]
    modules += [f"services.{name}.projection" for name in _SERVICES if "projector" in name]
    code, output, errors = await run(
        _LOADED, *modules, "passbook.client", "passbook.client.tracing"
    )
    assert (code, output.strip()) == (0, ""), errors


async def test_off_the_query_api_has_what_fastapi_imports_and_nothing_that_sends() -> None:
    code, output, errors = await run(_LOADED, "services.query_api.__main__")
    assert code == 0, errors
    assert not [name for name in output.split() if "sdk" in name or "exporter" in name]


async def test_on_without_the_extra_is_refused_with_what_to_do() -> None:
    settings = {
        "PASSBOOK_TRACING": "otlp",
        "PASSBOOK_METRICS_PORT": "0",
        "PASSBOOK_HTTP_PORT": "0",
        "PASSBOOK_LOG_FORMAT": "json",
    }
    names = ("outbox_relay", "query_api")
    ended = (run(_WITHOUT, f"services.{name}", **settings) for name in names)
    for code, _, errors in await asyncio.gather(*ended):
        assert code == EXIT_CONFIGURATION, errors
        assert "service.refused" in errors
        assert "pip install 'passbook[otel]'" in errors
        assert "Traceback" not in errors
