"""`passbook secrets create`: what nobody should have to think up, for a new installation.

One folder for each process, so that each can be given its own and no other:

    postgres/password               of the database's owner, for the server's first start
    owner/event_store_dsn           of the owner: for `passbook migrate` and operators
    owner/logins/LOGIN              every login's password: for `passbook migrate --passwords`
    SERVICE/event_store_dsn         with the login of the service

With `--kafka`, what `kafka_secrets` names as well.
"""

import secrets
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Annotated, Final

from cyclopts import App, Parameter
from rich.text import Text

from passbook.cli.failures import EXIT_OK, CommandFailed
from passbook.cli.kafka_secrets import kafka_secrets
from passbook.cli.logins import OF_SERVICE
from passbook.cli.options import DEFAULTS, Options
from passbook.cli.output import emit
from passbook.migrations import ROLES

_OWNER: Final = "passbook"
_BYTES: Final = 24
_PRIVATE: Final = 0o400
_SHARED: Final = 0o444
_FOLDER: Final = 0o755
_OURS: Final = 0o700

app = App(name="secrets", help="Make up passwords for a new installation.")


@app.command
def create(  # noqa: PLR0913 - one argument for each option
    directory: Path,
    /,
    *,
    host: Annotated[str, Parameter(help="Where services find PostgreSQL.")] = "localhost",
    port: Annotated[int, Parameter(help="And at which port.")] = 5432,
    database: Annotated[str, Parameter(help="The database of the installation.")] = "passbook",
    kafka: Annotated[
        list[str] | None,
        Parameter(
            negative="",
            show_default=False,
            help="A name of the brokers: certificates and passwords for Kafka, too. Repeatable.",
        ),
    ] = None,
    options: Options = DEFAULTS,
) -> int:
    """Write a password for every login, and the DSNs that use them, into a directory.

    What is there stays as it is, so that it may be called before every start. Nothing of it is
    printed. Files can be read by their owner only, but `postgres/password` and `kafka/node.pem`,
    which the servers' own accounts have to read, where their folder is mounted. Nobody else gets as far
    as there in a directory that was made here; one that was there before keeps its mode.
    """
    _have(directory)
    place = f"{host}:{port}/{database}"
    written = [*_create(directory, place), *_create_for_kafka(directory, kafka or ())]
    made = [str(path.relative_to(directory)) for path in written if path is not None]
    emit(
        {"created": made},
        options,
        lambda: Text("\n".join(f"created: {name}" for name in made) or "Everything is there."),
    )
    return EXIT_OK


def _have(directory: Path) -> None:
    """Make the directory, if it is not there, for its owner only."""
    try:
        directory.mkdir(mode=_OURS, parents=True, exist_ok=True)
    except OSError as error:
        message = f"{directory} cannot be made: {error.strerror}"
        raise CommandFailed(message) from error


def _create(directory: Path, place: str) -> Iterator[Path | None]:
    owner = directory / "postgres" / "password"
    yield _write(owner, secrets.token_urlsafe(_BYTES), _SHARED)
    yield _write_dsn(directory / "owner", _OWNER, owner.read_text(), place)
    for login in ROLES:
        password = directory / "owner" / "logins" / login
        yield _write(password, secrets.token_urlsafe(_BYTES), _PRIVATE)
    for service, login in OF_SERVICE.items():
        password = directory / "owner" / "logins" / login
        yield _write_dsn(directory / service, login, password.read_text(), place)


def _create_for_kafka(directory: Path, hosts: Sequence[str]) -> Iterator[Path | None]:
    for wanted in kafka_secrets(directory, hosts) if hosts else ():
        yield _write(wanted.path, wanted.text, _SHARED if wanted.shared else _PRIVATE)


def _write_dsn(folder: Path, login: str, password: str, place: str) -> Path | None:
    # Made of characters that need no quoting: see token_urlsafe.
    return _write(folder / "event_store_dsn", f"postgresql://{login}:{password}@{place}", _PRIVATE)


def _write(path: Path, text: str, mode: int) -> Path | None:
    """Write a file that is not there yet, whole or not at all; return None when it was."""
    if path.exists():
        return None
    try:
        path.parent.mkdir(mode=_FOLDER, parents=True, exist_ok=True)
        scratch = path.with_name(f".{path.name}")
        scratch.touch(0o600)
        scratch.write_text(text)
        scratch.chmod(mode)
        scratch.replace(path)
    except OSError as error:
        message = f"{path} cannot be written: {error.strerror}"
        raise CommandFailed(message) from error
    return path


def passwords_in(directory: Path, logins: Iterable[str] = ROLES) -> dict[str, str]:
    """Return login → password, one file each.

    Raises:
        CommandFailed: a login has none, or it cannot be read.
    """
    try:
        found = {login: (directory / login).read_text("utf-8").strip() for login in logins}
    except UnicodeDecodeError as error:
        message = f"{directory}: a password is not a text"
        raise CommandFailed(message) from error
    except OSError as error:
        message = f"{error.filename}: {error.strerror}; every login needs a file with its password"
        raise CommandFailed(message) from error
    unfit = [login for login, password in found.items() if not (password and password.isascii())]
    if unfit:
        message = f"{directory}: no password of ASCII characters in {', '.join(unfit)}"
        raise CommandFailed(message)
    return found
