"""Where downloads are kept between runs."""

import os
import sys
from pathlib import Path


def cache_dir() -> Path:
    """Return `PASSBOOK_CACHE_DIR`, or `passbook` in the platform's cache directory of this user."""
    if configured := os.environ.get("PASSBOOK_CACHE_DIR"):
        return Path(configured).expanduser().resolve()
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / "passbook"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "passbook"
