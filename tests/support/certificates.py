"""Certificates of a test's own authority, as PEM files."""

from pathlib import Path

from passbook.cli import certificates


class Authority:
    """Signs certificates; its own is in `file`."""

    def __init__(self, folder: Path, name: str = "tests") -> None:
        """Make it, in a folder that exists."""
        self._folder = folder
        self._authority = certificates.Authority.create(name)
        self.file = folder / f"{name}-ca.pem"
        self.file.write_text(self._authority.certificate)

    def issue(self, name: str, *hosts: str) -> tuple[Path, Path]:
        """Return the files of a certificate for a common name, valid for some hosts or addresses,
        and of its key.
        """
        files = self._folder / f"{name}.pem", self._folder / f"{name}.key"
        for file, text in zip(files, self._authority.issue(name, hosts), strict=True):
            file.write_text(text)
        return files
