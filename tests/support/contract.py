"""The committed AsyncAPI document, as somebody reads it who has nothing else."""

import json
from pathlib import Path
from typing import Any, Final, NamedTuple
from uuid import uuid4

from jsonschema import Draft202012Validator

ASYNCAPI: Final = Path(__file__).parents[2] / "deploy" / "contracts" / "asyncapi.json"
_PREFIX: Final = "bank."
_HEADER: Final = "$message.header#/"


class Record(NamedTuple):
    """What is sent: text, as everything in the document is."""

    key: str
    value: str
    headers: dict[str, str]


class Contract:
    """What the document says, for an installation whose topics have another prefix."""

    def __init__(self, prefix: str = _PREFIX) -> None:
        """Read the document."""
        self.document: dict[str, Any] = json.loads(ASYNCAPI.read_text(encoding="utf-8"))
        self._prefix = prefix

    def topic(self, channel: str) -> str:
        """Return the name of a channel's topic."""
        address: str = self.document["channels"][channel]["address"]
        return self._prefix + address.removeprefix(_PREFIX)

    def message(self, name: str) -> dict[str, Any]:
        """Return a message's description."""
        message: dict[str, Any] = self.document["components"]["messages"][name]
        return message

    def schema(self, message: str) -> dict[str, Any]:
        """Return the schema of a message's data."""
        reference = self.message(message)["payload"]["$ref"]
        schema: dict[str, Any] = self.document["components"]["schemas"][
            reference.rpartition("/")[2]
        ]
        return schema

    def id_header(self, message: str) -> str:
        """Return the header by which a command and its outcome find each other."""
        location: str = self.message(message)["correlationId"]["location"]
        return location.removeprefix(_HEADER)

    def command(self, name: str, account: str, **fields: str) -> Record:
        """Return the example of a command, for another account and with other fields."""
        (example,) = self.message(name)["examples"]
        payload = {**example["payload"], **fields, "account_id": account}
        payload.pop("expected_version", None)
        headers = {**example["headers"], self.id_header(name): str(uuid4())}
        headers |= {"ce_subject": account} if "ce_subject" in headers else {}
        return Record(account, json.dumps(payload), headers)

    def check(self, message: str, headers: dict[str, str], data: Any) -> None:
        """Fail unless headers and data are as the document says of a message."""
        Draft202012Validator(self.message(message)["headers"]).validate(headers)
        Draft202012Validator(self.schema(message)).validate(data)
