"""Why Kafka cannot be reached. The client tells that to its log only, and raises "unable to bootstrap";
so it is tried once more here, by hand, when a start has failed.
"""

import asyncio
import ssl
from typing import Final

from aiokafka.conn import collect_hosts, create_conn
from aiokafka.errors import (
    KafkaConnectionError,
    KafkaError,
    SaslAuthenticationFailed,
    UnsupportedSaslMechanismError,
)

from passbook.messaging.security import KafkaSecurity, KafkaServers, servers_of

_TIMEOUT_S: Final = 5.0


async def why_unreachable(error: BaseException, kafka: str | KafkaServers) -> str:
    """Return what to tell of a client that did not start: the error's own words, unless it could
    not connect, which is explained. No secret is in it. Takes up to five seconds.
    """
    if not isinstance(error, KafkaConnectionError):
        return str(error) or "no answer"
    servers = servers_of(kafka)
    options = {**servers.security.options(), "request_timeout_ms": int(_TIMEOUT_S * 1000)}
    reasons = []
    for host, port, _ in collect_hosts(servers.bootstrap, randomize=False):
        try:
            async with asyncio.timeout(_TIMEOUT_S):
                connection = await create_conn(host, port, **options)
            connection.close()
        except (OSError, KafkaError) as failure:
            reasons.append(_explained(failure, f"{host}:{port}", servers.security))
    return "; ".join(dict.fromkeys(reasons)) or str(error)


def _explained(failure: Exception, where: str, security: KafkaSecurity) -> str:
    match failure:
        case SaslAuthenticationFailed():
            told = f"{where} refuses the password of {security.username} ({security.mechanism})"
        case UnsupportedSaslMechanismError():
            told = f"{where} does not offer {security.mechanism}"
        case ssl.SSLCertVerificationError():
            told = f"the certificate of {where} is not accepted: {failure.verify_message}"
        case ssl.SSLError() if failure.reason and "CERTIFICATE" in failure.reason:
            told = f"{where} does not accept the client certificate, or wants one"
        case ssl.SSLError():
            told = f"no TLS at {where}, which {security.protocol} needs ({failure.reason})"
        case ConnectionRefusedError() | TimeoutError():
            told = f"no broker answers at {where}"
        case KafkaConnectionError() | ConnectionError():
            told = f"{where} hangs up: it wants other security than {security.protocol}"
            if security.protocol == "SSL" and not security.certificate_file:
                told += ", or a client certificate"
        case _:
            told = f"{where}: {failure or type(failure).__name__}"
    return told
