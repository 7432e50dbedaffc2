"""Files that only their owner may read, and that are never seen half-written."""

import os
import tempfile
from pathlib import Path


def write_private(path: Path, text: str) -> None:
    """Have `path` hold `text`, mode 0600 from the first byte; readers see the old or the new."""
    descriptor, name = tempfile.mkstemp(
        prefix=f".{path.name}.", dir=path.parent
    )  # mkstemp makes it 0600
    scratch = Path(name)
    try:
        with os.fdopen(descriptor, "w") as file:
            file.write(text)
        scratch.replace(path)
    finally:
        scratch.unlink(missing_ok=True)
