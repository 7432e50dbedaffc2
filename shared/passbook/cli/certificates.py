"""A certificate authority of one's own, for an installation that has no other: it signs the brokers'
certificates and that of Kafka's admin.
"""

import datetime as dt
import ipaddress
from collections.abc import Iterable
from typing import Final, Self

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

_AUTHORITY_DAYS: Final = 3650
_DAYS: Final = 730
_CLOCKS_DIFFER: Final = dt.timedelta(hours=1)


class Authority:
    """Signs certificates with a key of its own (ECDSA P-256)."""

    def __init__(self, key: ec.EllipticCurvePrivateKey, certificate: x509.Certificate) -> None:
        """Take its key and its own certificate; `create` makes them."""
        self._key = key
        self._certificate = certificate

    @classmethod
    def create(cls, name: str) -> Self:
        """Return a new one, valid for ten years, which signs no further authorities."""
        key = ec.generate_private_key(ec.SECP256R1())
        builder = _builder(_name(name), _name(name), key, _AUTHORITY_DAYS)
        constraints = x509.BasicConstraints(ca=True, path_length=0)
        builder = _extended(builder, constraints, key, key)
        return cls(key, builder.sign(key, hashes.SHA256()))

    @classmethod
    def load(cls, pem: str) -> Self:
        """Return the one whose key and certificate are in a text.

        Raises:
            ValueError: they are not.
        """
        key = serialization.load_pem_private_key(pem.encode(), password=None)
        if not isinstance(key, ec.EllipticCurvePrivateKey):
            message = "the key is none of an elliptic curve"
            raise ValueError(message)  # noqa: TRY004 - it is the text that is wrong
        return cls(key, x509.load_pem_x509_certificate(pem.encode()))

    @property
    def certificate(self) -> str:
        """Its certificate as PEM: what others are told to trust."""
        return self._certificate.public_bytes(serialization.Encoding.PEM).decode()

    @property
    def whole(self) -> str:
        """Its key and certificate as PEM: what `load` takes, and nobody else should see."""
        return _key_pem(self._key) + self.certificate

    def issue(self, name: str, hosts: Iterable[str] = ()) -> tuple[str, str]:
        """Return a certificate and its key as PEM, for a common name and for hosts (names or
        addresses), valid for two years, for servers and clients.
        """
        key = ec.generate_private_key(ec.SECP256R1())
        usage = [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]
        builder = _builder(_name(name), self._certificate.subject, key, _DAYS)
        ends_here = x509.BasicConstraints(ca=False, path_length=None)
        builder = _extended(builder, ends_here, key, self._key)
        builder = builder.add_extension(x509.ExtendedKeyUsage(usage), critical=False)
        if names := [_host(host) for host in hosts]:
            builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
        certificate = builder.sign(self._key, hashes.SHA256())
        return certificate.public_bytes(serialization.Encoding.PEM).decode(), _key_pem(key)


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey, days: int
) -> x509.CertificateBuilder:
    now = dt.datetime.now(dt.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _CLOCKS_DIFFER)
        .not_valid_after(now + dt.timedelta(days=days))
    )


def _extended(
    builder: x509.CertificateBuilder,
    constraints: x509.BasicConstraints,
    key: ec.EllipticCurvePrivateKey,
    issuer: ec.EllipticCurvePrivateKey,
) -> x509.CertificateBuilder:
    """Say what a certificate may be used for, and whose keys it and its issuer have: since Python 3.13
    clients refuse one that does not. Source: RFC 5280, section 4.2.1.
    """
    whose = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
    signed_by = x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer.public_key())
    return (
        builder.add_extension(constraints, critical=True)
        .add_extension(_usage(authority=constraints.ca), critical=True)
        .add_extension(whose, critical=False)
        .add_extension(signed_by, critical=False)
    )


def _usage(*, authority: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not authority,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=authority,
        crl_sign=False,
        encipher_only=False,
        decipher_only=False,
    )


def _name(common: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common)])


def _host(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def _key_pem(key: ec.EllipticCurvePrivateKey) -> str:
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    ).decode()
