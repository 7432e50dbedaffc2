"""Pages that say their commands twice, for docker compose and for processes, say the same twice."""

import re
import shlex

import pytest

from passbook.cli.app import _app
from tests.support.runbook import COMPOSE, FOLDER, OPERATOR, PROCESSES, Page

_PAGES = [page.stem for page in sorted(FOLDER.glob("*.md")) if PROCESSES in page.read_text("utf-8")]
_NOT_BUILT_IN = {"run totals-projector"}


@pytest.mark.parametrize("name", _PAGES)
def test_every_verb_of_a_page_is_understood(name: str) -> None:
    page = Page(name)
    verbs = {*page.verbs(), *page.verbs(form=COMPOSE)} - _NOT_BUILT_IN
    assert verbs
    for verb in verbs:
        tokens = shlex.split(verb)
        _app(tokens[0]).parse_args(tokens, exit_on_error=False, print_error=False)


@pytest.mark.parametrize("name", _PAGES)
def test_what_the_operators_container_is_told_is_what_a_process_is_told(name: str) -> None:
    """`run` and `topics apply` have services of their own in compose."""
    page = Page(name)
    own = {"run", "topics"}
    container = [one for one in page.verbs(form=COMPOSE) if one.split()[0] not in own]
    process = [one for one in page.verbs() if one.split()[0] not in own]
    assert container == process


@pytest.mark.parametrize("name", _PAGES)
def test_every_block_says_for_whom_it_is(name: str) -> None:
    for block in Page(name).blocks():
        assert block.strip().startswith((PROCESSES, COMPOSE))


@pytest.mark.parametrize("name", _PAGES)
def test_a_page_leads_to_pages_that_there_are(name: str) -> None:
    text = Page(name).text
    assert OPERATOR in text
    links = re.findall(r"\]\(([a-z-]+\.md)\)", text)
    assert all((FOLDER / link).is_file() for link in links)
