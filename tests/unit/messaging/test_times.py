"""Times on the wire: hashes of the audit log depend on every character of them."""

from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from passbook.messaging.cloudevents import format_time


@given(st.datetimes(timezones=st.just(UTC)))
def test_every_moment_has_one_text_however_it_was_made(moment: datetime) -> None:
    text = format_time(moment)
    assert text == moment.replace(tzinfo=None).isoformat(timespec="microseconds") + "Z"
    assert datetime.fromisoformat(text) == moment
