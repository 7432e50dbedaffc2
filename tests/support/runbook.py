"""Pages of deploy/runbooks, whose commands tests run as they stand there."""

import re
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.support.program import Ended, Program

FOLDER: Final = Path(__file__).parents[2] / "deploy" / "runbooks"
PROCESSES: Final = "# processes of your own"
COMPOSE: Final = "# docker compose"
OPERATOR: Final = "docker compose run --rm operator "


@dataclass(frozen=True, slots=True)
class Page:
    """One page, by its name without the suffix."""

    name: str

    @property
    def text(self) -> str:
        """The whole page."""
        return (FOLDER / f"{self.name}.md").read_text("utf-8")

    def blocks(self, section: str = "") -> list[str]:
        """Return the blocks of shell commands of a section, or of the page, in their order."""
        text = self.text
        if section:
            (text,) = re.findall(
                rf"^##+ {re.escape(section)}\n(.*?)(?=^##+ |\Z)", text, re.DOTALL | re.MULTILINE
            )
        return re.findall(r"^ *```sh\n(.*?)^ *```$", text, re.DOTALL | re.MULTILINE)

    def verbs(self, section: str = "", form: str = PROCESSES) -> list[str]:
        """Return the calls of `passbook` in a section, in one of the two forms, without what
        introduces them.
        """
        introduced = "passbook " if form == PROCESSES else OPERATOR
        return [
            line.strip().removeprefix(introduced).partition("  #")[0].strip()
            for block in self.blocks(section)
            if block.strip().startswith(form)
            for line in block.splitlines()
            if line.strip().startswith(introduced)
        ]

    async def follow(self, passbook: Program, section: str, **names: str) -> list[Ended]:
        """Run the calls of `passbook` of a section one after the other, as processes of one's own
        are told to, with `names` replaced by what they stand for; each has to end with 0.
        """
        ended = []
        for verb in self.verbs(section):
            said = verb
            for name, meaning in names.items():
                said = said.replace(name, meaning)
            ended.append(await passbook(*shlex.split(said)))
            told = f"{said}: {ended[-1].code}\n{ended[-1].stdout}{ended[-1].stderr}"
            assert ended[-1].code == 0, told
        assert ended, f"{self.name} has no command in {section}"
        return ended
