"""Pages say commands that exist, and lead to pages that exist."""

import re
import shlex
from pathlib import Path
from typing import Final

import pytest
import yaml

from passbook.cli.app import _app
from tests.support.observability import ROOT, RUNBOOKS

_PAGES: Final = sorted((RUNBOOKS / "alerts").glob("*.md"))
_VERB: Final = re.compile(
    r"(?:docker\s+compose\s+run\s+--rm\s+operator|(?<=`)passbook|(?<=processes: )passbook)"
    r"\s+([a-z][^`#|\n]*)"
)
_STANDS_FOR: Final = {"ACCOUNT": "00000000-0000-4000-8000-000000000000", "SERVICE": "query-api"}

each_page = pytest.mark.parametrize("page", _PAGES, ids=[page.stem for page in _PAGES])


@each_page
def test_verbs_that_a_page_names_exist_with_their_options(page: Path) -> None:
    """Shown sharp: `projection park balance`, and `dlq replay --again`."""
    for verb in _VERB.findall(page.read_text("utf-8")):
        tokens = [_STANDS_FOR.get(token, token) for token in shlex.split(verb)]
        if "VERB" not in tokens:
            _app(tokens[0]).parse_args(tokens, exit_on_error=False, print_error=False)


@each_page
def test_services_that_a_page_names_exist(page: Path) -> None:
    services = set(yaml.safe_load((ROOT / "docker-compose.yml").read_text("utf-8"))["services"])
    for verb, service in re.findall(
        r"docker compose (exec|restart|stop) ([\w-]+)", page.read_text("utf-8")
    ):
        assert service in services, (verb, service)


@pytest.mark.parametrize("page", sorted(RUNBOOKS.rglob("*.md")), ids=lambda page: page.stem)
def test_links_of_a_page_lead_somewhere(page: Path) -> None:
    for link in re.findall(r"\]\(([^)#]+)[^)]*\)", page.read_text("utf-8")):
        assert link.startswith("http") or (page.parent / link).exists(), link
