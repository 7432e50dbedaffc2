"""Invariant 8, for anything at all: `decode` never raises, whatever a record holds."""

import json
from typing import Any
from uuid import UUID

from hypothesis import example, given
from hypothesis import strategies as st

from passbook.messaging.commands import BadCommand, decode
from tests.support.messages import COMMAND, DATA, message
from tests.unit.messaging.test_bad_commands import refused

_BYTES = st.one_of(st.none(), st.binary(max_size=60))
_ANY_HEADERS = st.lists(
    st.tuples(
        st.one_of(st.sampled_from([name for name, _ in message().headers]), st.text(max_size=20)),
        _BYTES,
    ),
    max_size=12,
)


@given(key=_BYTES, value=_BYTES, headers=_ANY_HEADERS)
@example(key=None, value=None, headers=[])
def test_invariant_8_no_record_whatever_makes_decode_raise(
    key: bytes | None, value: bytes | None, headers: list[Any]
) -> None:
    refused(decode(key, value, headers))


_JSON = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text()),
    lambda children: st.one_of(
        st.lists(children, max_size=3), st.dictionaries(st.text(), children, max_size=3)
    ),
    max_leaves=6,
)


@given(
    kind=st.sampled_from(list(DATA)),
    changes=st.dictionaries(
        st.sampled_from(["amount", "owner_name", "reference", "reason", "expected_version", "x"]),
        _JSON,
        max_size=3,
    ),
)
def test_no_data_whatever_makes_decode_raise(kind: str, changes: dict[str, Any]) -> None:
    value = json.dumps({**DATA[kind], **changes}).encode()
    found = decode(*message(kind, value=value))
    if isinstance(found, BadCommand):
        assert refused(found).command_id == UUID(COMMAND)
