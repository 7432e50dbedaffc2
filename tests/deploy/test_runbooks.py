"""Pages say commands that exist, and lead to pages that exist."""

import re
import shlex
from collections.abc import Iterator
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Final

import pytest
import yaml
from cyclopts import MissingArgumentError

from passbook.cli.app import _app
from tests.support.observability import ROOT, RUNBOOKS, dashboards

_PAGES: Final = sorted(RUNBOOKS.rglob("*.md"))
_ALERTS: Final = sorted((RUNBOOKS / "alerts").glob("*.md"))
_FENCE: Final = re.compile(r"^ *```.*?^ *```$", re.DOTALL | re.MULTILINE)
_CALL: Final = re.compile(
    r"(?:docker compose run (?:--?\S+ (?:\S+=\S+ )?)*operator|(?:^|[\s`])passbook) ([a-z][^`#|;\n]*)"
)
_STANDS_FOR: Final = {"ACCOUNT": "00000000-0000-4000-8000-000000000000", "SERVICE": "query-api"}
_NOT_BUILT_IN: Final = {"run totals-projector"}
_PROJECTOR: Final = re.compile(
    r'audit-projector|passbook_audit_projector|"services.audit_projector"'
)
_NO_PLACE_TO_ADD: Final = (
    "services/audit_projector/",
    "shared/passbook/cli/bench/",
    "shared/passbook/tracing/__init__.py",
    "deploy/helm/passbook/ci/",
    "deploy/runbooks/",
)

each_page = pytest.mark.parametrize("page", _PAGES, ids=[page.stem for page in _PAGES])
each_alert = pytest.mark.parametrize("page", _ALERTS, ids=[page.stem for page in _ALERTS])


@each_page
def test_verbs_that_a_page_names_exist_with_their_options(page: Path) -> None:
    """In prose a verb may be without its arguments.

    Seen to fail with `projection park balance`, `dlq replay --again`, and `kafka acls` in prose.
    """
    text = page.read_text("utf-8")
    for block in _FENCE.findall(text):
        for verb in _CALL.findall(block):
            _understood(verb)
    for quoted in re.findall(r"`([^`]+)`", _FENCE.sub("", text)):
        for verb in _CALL.findall(" ".join(quoted.split())):
            with suppress(MissingArgumentError):
                _understood(verb)


def _understood(verb: str) -> None:
    tokens = [_STANDS_FOR.get(token, token) for token in shlex.split(verb)]
    if " ".join(tokens) not in _NOT_BUILT_IN:
        _app(tokens[0]).parse_args(tokens, exit_on_error=False, print_error=False)


@each_page
def test_services_that_a_page_names_exist(page: Path) -> None:
    services = set(yaml.safe_load((ROOT / "docker-compose.yml").read_text("utf-8"))["services"])
    for verb, service in re.findall(
        r"docker compose (exec|restart|stop)(?: -\S+(?: \w+=\S+)?)* ([\w-]+)",
        page.read_text("utf-8"),
    ):
        assert service in services, (verb, service)


@each_page
def test_a_tool_of_kafka_does_not_take_the_brokers_heap_a_second_time(page: Path) -> None:
    """The container's limit has no room for it. Seen to fail with one line as it was."""
    for options in re.findall(r"docker compose exec (.*)kafka /opt/kafka", page.read_text("utf-8")):
        assert "-e KAFKA_HEAP_OPTS=-Xmx128m" in options


@each_alert
def test_panels_that_a_page_names_are_on_a_dashboard(page: Path) -> None:
    """A dashboard, a row, a panel, or a line of one as its legend calls it.

    Seen to fail with *Decide one batch*, *Brokers*, and the row *Outbox*.
    """
    text = re.sub(r"```.*?```|`[^`]*`", "", page.read_text("utf-8"), flags=re.DOTALL)
    for words in re.findall(r"(?<!\*)\*([^*]+)\*(?!\*)", text):
        name = " ".join(words.split())
        assert any(shown.fullmatch(name) for shown in _shown()), name


@cache
def _shown() -> list[re.Pattern[str]]:
    """Return what can be read on a dashboard; a label's name stands for any of its values, and a
    legend that is nothing but labels is no name.
    """
    names = [dashboard["title"] for dashboard in dashboards().values()]
    for dashboard in dashboards().values():
        for panel in dashboard["panels"]:
            names.append(panel["title"])
            names += [target["legendFormat"] for target in panel.get("targets", [])]
    parts = [re.split(r"\{\{\w+\}\}", name) for name in names]
    return [
        re.compile(".+".join(map(re.escape, part)))
        for part in parts
        if re.search(r"\w", "".join(part))
    ]


@each_page
def test_links_of_a_page_lead_somewhere(page: Path) -> None:
    for link in re.findall(r"\]\(([^)#]+)[^)]*\)", page.read_text("utf-8")):
        assert link.startswith("http") or (page.parent / link).exists(), link


def test_every_file_that_knows_a_projector_is_on_the_page_that_adds_one() -> None:
    """By the name of its service or of its login; its own folder is what is to be written, frozen
    scripts are frozen, and what only measures, shows or explains is left out by name.

    Seen to fail with the page as it was: the chart's schema, the overlays, Prometheus's jobs.
    """
    page = (RUNBOOKS / "add-a-projector.md").read_text("utf-8")
    knowing = [
        name
        for path in _files()
        if not (name := path.relative_to(ROOT).as_posix()).startswith(_NO_PLACE_TO_ADD)
        and "/migrations/" not in name
        and _PROJECTOR.search(path.read_text("utf-8", errors="ignore"))
    ]
    assert "docker-compose.yml" in knowing
    assert [name for name in knowing if f"`{name}`" not in page] == []


def _files() -> Iterator[Path]:
    """Yield what the project is made of, but tests and links to what is elsewhere."""
    yield from (path for path in ROOT.iterdir() if path.suffix in {".md", ".toml", ".yml"})
    for folder in ("deploy", "services", "shared"):
        for path in (ROOT / folder).rglob("*"):
            if path.is_file() and not path.is_symlink() and path.suffix != ".pyc":
                yield path
