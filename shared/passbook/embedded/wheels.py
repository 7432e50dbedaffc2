"""Files of installed wheels, found without importing them."""

import importlib.util
from pathlib import Path

from passbook.embedded.errors import MissingPackageError


def wheel_folder(package: str, distribution: str) -> Path:
    """Return the folder of an installed package.

    Raises:
        MissingPackageError: the distribution that holds it is not installed.
    """
    spec = importlib.util.find_spec(package)
    if spec is None or spec.origin is None:
        raise MissingPackageError(distribution)
    return Path(spec.origin).resolve().parent
