"""Ed25519: who has the private key made the checkpoint, whoever has the public one can tell.

Keys are files in PEM (PKCS #8, SubjectPublicKeyInfo), as `openssl genpkey -algorithm ed25519` and
`openssl pkey -pubout` write them. Source: RFC 8032, RFC 8410.
"""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from services.audit_projector.errors import BadKey, ExtraMissing

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey


def new_key(path: Path) -> str:
    """Write a new private key, readable by its owner only; return the public one as PEM.

    Raises:
        FileExistsError: there is a file already, and a key is never overwritten.
        ExtraMissing: install `passbook[evidence]`.
    """
    ed25519, serialization = _cryptography()
    key = ed25519.Ed25519PrivateKey.generate()
    private: bytes = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    # O_EXCL, and 0600 from the first byte.
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(private)
        file.flush()
        os.fsync(file.fileno())
    return public_pem(key.public_key().public_bytes_raw())


@dataclass(frozen=True, slots=True)
class Signer:
    """Signs with the private key of a file. `public_key` is the other half, 32 bytes."""

    public_key: bytes
    _key: "Ed25519PrivateKey"

    @classmethod
    def of(cls, path: Path) -> "Signer":
        """Read a private key.

        Raises:
            BadKey: the file is missing, or holds something else.
            ExtraMissing: install `passbook[evidence]`.
        """
        ed25519, serialization = _cryptography()
        key = _loaded(
            path, lambda pem: serialization.load_pem_private_key(pem, None), "private key"
        )
        if not isinstance(key, ed25519.Ed25519PrivateKey):
            message = f"{path} holds another kind of key than Ed25519"
            raise BadKey(message)
        return cls(key.public_key().public_bytes_raw(), key)

    def sign(self, message: bytes) -> bytes:
        """Return the signature, 64 bytes."""
        return self._key.sign(message)


def read_public_key(path: Path) -> bytes:
    """Return the public key in a file, 32 bytes.

    Raises:
        BadKey, ExtraMissing: see `Signer.of`.
    """
    ed25519, serialization = _cryptography()
    key = _loaded(path, serialization.load_pem_public_key, "public key")
    if not isinstance(key, ed25519.Ed25519PublicKey):
        message = f"{path} holds another kind of key than Ed25519"
        raise BadKey(message)
    raw: bytes = key.public_bytes_raw()
    return raw


def public_pem(public_key: bytes) -> str:
    """Return a public key as the text of a PEM file.

    Raises:
        ExtraMissing: install `passbook[evidence]`.
    """
    ed25519, serialization = _cryptography()
    pem: bytes = ed25519.Ed25519PublicKey.from_public_bytes(public_key).public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return pem.decode()


def is_signed(message: bytes, signature: bytes, public_key: bytes) -> bool:
    """Tell whether the holder of the key's other half signed exactly this.

    Raises:
        ExtraMissing: install `passbook[evidence]`.
    """
    ed25519, _ = _cryptography()
    from cryptography.exceptions import InvalidSignature

    try:
        ed25519.Ed25519PublicKey.from_public_bytes(public_key).verify(signature, message)
    except (InvalidSignature, ValueError):
        return False
    return True


def _loaded(path: Path, load: Any, what: str) -> object:
    try:
        return load(path.read_bytes())
    except (OSError, ValueError, TypeError) as error:  # TypeError: it is encrypted
        message = f"{path} is no {what} in PEM without a password: {error}"
        raise BadKey(message) from error


def _cryptography() -> tuple[Any, Any]:
    """Return the modules that are needed, when they are: nothing else in Passbook needs them."""
    try:
        from cryptography.hazmat.primitives import serialization
        from cryptography.hazmat.primitives.asymmetric import ed25519
    except ImportError as error:
        raise ExtraMissing from error
    return ed25519, serialization
