"""Wiring of the query API: settings in, clients built, the HTTP server around it all."""

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import structlog
from fastapi import FastAPI

from passbook.client import BankUnreachable, PassbookClient
from passbook.config import MissingSetting, Settings
from passbook.eventstore.archive.files import Archive
from passbook.eventstore.doorbell import DoorbellListener
from passbook.eventstore.postgres import PostgresEventStore
from passbook.eventstore.snapshots_postgres import PostgresSnapshotStore
from passbook.messaging.consumer import ConsumerLost
from passbook.projection.protocol import doorbell_channel
from passbook.service import (
    Health,
    alongside,
    check_kafka,
    database_pool,
    event_store_pool,
    run_service,
    service_settings,
)
from services.query_api.app import create_app
from services.query_api.backend import READ_TIMEOUT_S, Backend, check_views, looked_up, watch
from services.query_api.counted import announce
from services.query_api.identity.authentication import authenticator
from services.query_api.identity.loopback import is_loopback
from services.query_api.listening.server import HttpServer
from services.query_api.overview import Overview

NAME = "query-api"

log = structlog.get_logger()


async def session(
    stop: asyncio.Event, health: Health, settings: Settings, app: FastAPI, server: HttpServer
) -> None:
    """Answer requests with what the servers say until `stop` is set."""
    await check_kafka(settings)
    async with backend(settings) as opened:
        app.state.backend = opened
        try:
            async with alongside(watch(opened, app.state.authenticator, stop, health)):
                await server.serve_until(stop)
        finally:
            app.state.backend = None


@asynccontextmanager
async def backend(settings: Settings) -> AsyncIterator[Backend]:
    """Connect everything the routes stand on.

    Raises:
        StoreMismatch, StoreUnavailable, ConsumerLost: something does not fit, or answer.
    """
    balance_bell = DoorbellListener(settings.read_model, doorbell_channel("balance"))
    events_bell = DoorbellListener(settings.event_store)
    async with (
        event_store_pool(settings, NAME) as events,
        database_pool(settings.read_model, NAME) as rows,
        alongside(balance_bell.run(), events_bell.run()),
        looked_up(events, rows) as (accounts, times),
        connected(settings) as bank,
    ):
        await check_views(events, rows)
        store = PostgresEventStore(events, Archive(settings.archive), timeout_s=READ_TIMEOUT_S)
        snapshots = PostgresSnapshotStore(events, timeout_s=READ_TIMEOUT_S)
        bells = (balance_bell, events_bell)
        overview = Overview(events, rows)
        yield Backend(store, snapshots, events, rows, bank, *bells, accounts, times, overview)


@asynccontextmanager
async def connected(settings: Settings) -> AsyncIterator[PassbookClient]:
    """Connect the client that publishes commands.

    Raises:
        ConsumerLost: no broker answers.
    """
    client = PassbookClient(
        settings.kafka, settings.topics, source=f"/passbook/{NAME}", client_id=NAME
    )
    try:
        async with client:
            yield client
    except BankUnreachable as error:
        message = f"Kafka: {error}"
        raise ConsumerLost(message) from error


@asynccontextmanager
async def listening(settings: Settings, app: FastAPI, server: HttpServer) -> AsyncIterator[None]:
    """Listen, if who asks can be told, or only this machine can ask.

    Raises:
        MissingSetting: neither is so.
    """
    app.state.authenticator = authenticator(
        settings.jwt_jwks, settings.jwt_issuer, settings.jwt_audience
    )
    if app.state.authenticator is None:
        if not (is_loopback(settings.http_host) or settings.allow_http_without_tokens):
            message = (
                f"PASSBOOK_JWT_JWKS is not set: without tokens everybody who reaches "
                f"{settings.http_host} could do everything; set it, or listen on 127.0.0.1"
            )
            raise MissingSetting(message)
        log.warning("http.without_tokens", host=settings.http_host)
    async with server, alongside(app.state.follower.run(app.state.stopping)):
        log.info("http.listening", host=settings.http_host, port=server.port)
        yield


def main() -> int:
    """Run until SIGTERM; return the exit code."""
    settings = service_settings(NAME)
    announce()
    app = create_app(settings.http_max_requests, traced=settings.tracing != "off")
    server = HttpServer(app, settings.http_host, settings.http_port)
    return run_service(
        NAME,
        settings,
        lambda stop, health: session(stop, health, settings, app, server),
        lambda: listening(settings, app, server),
    )


if __name__ == "__main__":
    sys.exit(main())
