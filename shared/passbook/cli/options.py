"""The options that every verb takes."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Final

from cyclopts import Group, Parameter

_EVERYWHERE: Final = Group("Options of every verb", sort_key=100)


@Parameter(name="*", group=_EVERYWHERE)
@dataclass(frozen=True, slots=True)
class Options:
    """Take it as `*, options: Options = DEFAULTS`; cyclopts fills it from the command line."""

    data_dir: Annotated[
        Path,
        Parameter(
            env_var="PASSBOOK_DATA_DIR",
            help="Directory of the servers that `passbook up` runs on this machine.",
        ),
    ] = Path(".passbook")
    json: Annotated[
        bool, Parameter(negative="", show_default=False, help="Print one JSON document.")
    ] = False


DEFAULTS: Final = Options()
