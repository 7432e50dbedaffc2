"""The log in Kafka and in the event store: has the store everything that was published?"""

from passbook.cli.checks.finding import Verdict, failed, fine
from passbook.config import Settings
from passbook.eventstore.archive.files import Archive
from passbook.eventstore.postgres import PostgresEventStore
from passbook.recovery.ahead import check_not_behind
from passbook.service import PartStopped, database_pool

_APPLICATION = "passbook-doctor"


async def complete(settings: Settings) -> Verdict:
    """Say whether the store was restored to a state before the end of the topic."""
    async with database_pool(settings.event_store, _APPLICATION) as pool:
        store = PostgresEventStore(pool, Archive(settings.archive))
        try:
            await check_not_behind(pool, store, settings.kafka, settings.topics, _APPLICATION)
        except PartStopped as behind:
            return failed(str(behind).partition(";")[0], "deploy/runbooks/restore-postgresql.md")
    return fine("the event store has everything that Kafka has")
