"""How an audit entry is hashed. Written once; stored hashes depend on every byte of it.

SHA-256 over the previous entry's hash and the entry's fields, each text prefixed with its length,
so that no two different entries have the same input.
"""

import hashlib
from typing import Final

GENESIS: Final = bytes(32)
"""What the first entry of a slot follows."""


def entry_hash(  # noqa: PLR0913 - one argument a column
    previous: bytes,
    slot: int,
    slot_seq: int,
    event_id: str,
    account_id: str,
    version: int,
    event_type: str,
    schema_version: int,
    data: str,
    actor: str,
    command_id: str,
    correlation_id: str,
    occurred_at: str,
    recorded_at: str,
) -> bytes:
    """Return the hash of an entry: ids as lower-case text, times as RFC 3339 with microseconds."""
    fields = (
        f"1|{slot}|{slot_seq}|{version}|{schema_version}|{len(event_id)}:{event_id}|{len(account_id)}:{account_id}|"
        f"{len(event_type)}:{event_type}|{len(data)}:{data}|{len(actor)}:{actor}|"
        f"{len(command_id)}:{command_id}|{len(correlation_id)}:{correlation_id}|"
        f"{len(occurred_at)}:{occurred_at}|{len(recorded_at)}:{recorded_at}"
    )
    return hashlib.sha256(previous + fields.encode()).digest()
