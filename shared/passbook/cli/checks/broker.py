"""Kafka: does it answer, and are the topics there?"""

from passbook.cli.checks.finding import Verdict, failed, fine
from passbook.cli.setup import missing
from passbook.config import Settings
from passbook.messaging.admin import kafka_admin


async def answers(settings: Settings) -> Verdict:
    """Say which cluster answers."""
    async with kafka_admin(settings.kafka) as admin:
        cluster = await admin.describe_cluster()
    brokers = len(cluster["brokers"])
    return fine(f"cluster {cluster['cluster_id']}, {brokers} broker{'s' if brokers > 1 else ''}")


async def topics(settings: Settings) -> Verdict:
    """Say whether every topic is there with its settings."""
    absent = await missing(settings)
    if absent:
        names = ", ".join(spec.name for spec in absent)
        return failed(f"missing: {names}", "run `passbook topics apply`")
    known = settings.topics
    return fine(f"{len(known.specs())} topics {known.prefix}*, {known.partitions} partitions each")
