"""What a sender says twice: a message that contradicts itself must not mean one thing to us and
another to whoever looked at it before, a gateway or an auditor.
"""

import json
from collections.abc import Sequence

from passbook.messaging.cloudevents import Header


def contradicted_headers(headers: Sequence[Header], last: dict[str, bytes]) -> set[str]:
    """Return the attributes of CloudEvents that `headers` has with different values; `last` is the
    last value of each header. Others may be repeated: tracing libraries add `traceparent` without
    looking whether it is there.
    """
    return {name for name, value in headers if name.startswith("ce_") and last[name] != value}


def repeated_field(value: bytes, fields: int) -> str | None:
    """Return a field that the flat JSON object in `value` has twice; `fields` is how many different
    ones it has. JSON leaves open which of them counts (RFC 8259, section 4).
    """
    # Every field costs a colon. More of them, and it may be a text that has one, or a repetition.
    if value.count(b":") == fields:
        return None
    seen: set[str] = set()
    for name, _ in json.loads(value, object_pairs_hook=list):
        if name in seen:
            return str(name)
        seen.add(name)
    return None
