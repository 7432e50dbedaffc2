"""`passbook dlq`: what could not be processed: list it, look at it, publish it again."""

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from typing import Annotated, Final

from cyclopts import App, Parameter
from cyclopts.validators import Number
from rich.console import Group, RenderableType
from rich.text import Text

from passbook.cli.connect import connect
from passbook.cli.failures import EXIT_FAILED, EXIT_OK, Misused, NotFound
from passbook.cli.letter_views import letter_document, letter_table, letter_view
from passbook.cli.options import DEFAULTS, Options
from passbook.cli.output import emit
from passbook.cli.replay import Replay, Replayed
from passbook.config import Settings
from passbook.eventstore.archive.files import Archive
from passbook.eventstore.postgres import PostgresEventStore
from passbook.messaging.letter_box import LetterBox
from passbook.messaging.letters import BOXES, Letter, NoSuchLetter, Place
from passbook.messaging.producer import Producer
from passbook.service import database_pool

_APPLICATION: Final = "passbook-cli"
_LISTED: Final = 50

app = App(name="dlq", help="Dead letters: list, show, publish again.")

Box = Annotated[
    str | None,
    Parameter(show_default=False, help=f"Only these dead letters: {', '.join(BOXES)}."),
]


@app.command(name="list")
async def list_(
    *,
    topic: Box = None,
    limit: Annotated[
        int, Parameter(validator=Number(gte=1, lte=10_000), help="At most so many.")
    ] = _LISTED,
    options: Options = DEFAULTS,
) -> None:
    """List the newest dead letters with their places, newest first."""
    settings = connect(options)
    found: list[Letter] = []
    for box in _boxes(topic):
        found += await LetterBox(settings.kafka, settings.topics, box).newest(limit)
    found = sorted(found, key=lambda letter: letter.failed_at, reverse=True)[:limit]
    emit([letter_document(one) for one in found], options, lambda: letter_table(found))


@app.command
async def show(
    place: Annotated[str, Parameter(help="Where it is, like commands/3:17.")],
    /,
    *,
    options: Options = DEFAULTS,
) -> None:
    """Show a dead letter whole: why, where from, its headers, its value as text or hexadecimal."""
    letter = await _letter(connect(options), _place(place))
    emit(letter_document(letter, whole=True), options, lambda: letter_view(letter))


@app.command
async def replay(
    *places: Annotated[str, Parameter(help="Where they are, like commands/3:17.")],
    every: Annotated[
        bool,
        Parameter(
            name="--all",
            negative="",
            show_default=False,
            help="All there are, of --topic if given.",
        ),
    ] = False,
    topic: Box = None,
    new_id: Annotated[
        bool,
        Parameter(
            negative="",
            show_default=False,
            help="Let commands be decided once more, under an id made of the one they had.",
        ),
    ] = False,
    options: Options = DEFAULTS,
) -> int:
    """Publish the originals again where they came from; exit 1 if one is refused.

    Safe to repeat: a command that was decided gets its stored outcome again and changes nothing,
    with --new-id it is decided once and then no more; an event must be one that the event store
    has and the relay has published, and is skipped by whoever knows it.
    """
    if bool(places) is every:
        message = "name places, or --all: see `passbook dlq list`"
        raise Misused(message)
    settings = connect(options)
    wanted = [_place(place) for place in places]
    async with (
        database_pool(settings.event_store, _APPLICATION) as pool,
        Producer(settings.kafka, client_id=_APPLICATION) as producer,
    ):
        again = Replay(
            producer,
            settings.topics,
            PostgresEventStore(pool, Archive(settings.archive)),
            new_id=new_id,
        )
        letters = _everything(settings, _boxes(topic)) if every else _named(settings, wanted)
        async with aclosing(letters):
            done = [await again(letter) async for letter in letters]
    refused = [one for one in done if one.refused is not None]
    document = {"ok": not refused, "letters": [one.to_dict() for one in done]}
    emit(document, options, lambda: _told(done))
    return EXIT_FAILED if refused else EXIT_OK


async def _named(settings: Settings, places: Sequence[Place]) -> AsyncGenerator[Letter]:
    for place in places:
        yield await _letter(settings, place)


async def _everything(settings: Settings, boxes: Sequence[str]) -> AsyncGenerator[Letter]:
    for box in boxes:
        async with aclosing(
            LetterBox(settings.kafka, settings.topics, box).everything()
        ) as letters:
            async for letter in letters:
                yield letter


async def _letter(settings: Settings, place: Place) -> Letter:
    box = LetterBox(settings.kafka, settings.topics, place.box)
    try:
        return await box.one(place.partition, place.offset)
    except NoSuchLetter as error:
        message = f"{error}: see `passbook dlq list`"
        raise NotFound(message) from error


def _place(text: str) -> Place:
    try:
        return Place.parse(text)
    except ValueError as error:
        raise Misused(str(error)) from error


def _boxes(topic: str | None) -> Sequence[str]:
    if topic is not None and topic not in BOXES:
        message = f"there are no dead letters {topic!r}, only {', '.join(BOXES)}"
        raise Misused(message)
    return BOXES if topic is None else [topic]


def _told(done: Sequence[Replayed]) -> RenderableType:
    if not done:
        return Text("There are no dead letters.", style="green")
    return Group(*(_line(one) for one in done))


def _line(one: Replayed) -> Text:
    if one.refused is not None:
        return Text(f"{one.place}  refused: {one.refused}", style="red")
    told = f"{one.place}  published to {one.published}"
    if one.command_id:
        told += f" as command {one.command_id}"
    return Text(told, style="green")
