"""A process in which nothing can be imported but the client's three libraries and what they need."""

import asyncio
import sys
from typing import Final

_BOUND_S: Final = 30.0

_PREAMBLE: Final = """
import sys

class Blocked:
    allowed = {*sys.stdlib_module_names, "passbook",
               "aiokafka", "async_timeout", "cramjam", "packaging", "typing_extensions",
               "pydantic", "pydantic_core", "annotated_types", "typing_inspection",
               "orjson"}

    def find_spec(self, name, path=None, target=None):
        top = name.partition(".")[0]
        if top in self.allowed or top.startswith("_sysconfigdata"):
            return None
        raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Blocked())
"""


async def run_blocked(program: str, *arguments: str) -> tuple[int, str, str]:
    """Run a program there; return its exit code, and what it printed and complained."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-P", "-W", "error", "-c", _PREAMBLE + program, *arguments),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    async with asyncio.timeout(_BOUND_S):
        output, errors = await process.communicate()
    assert process.returncode is not None
    return process.returncode, output.decode(), errors.decode()
