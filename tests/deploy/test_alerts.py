"""Alert rules: each says what is wrong, how bad it is, and which page tells what to do."""

import re
from typing import Any, Final

import pytest

from tests.support.observability import RUNBOOKS, alerts

_RULES: Final = alerts()
_SECTIONS: Final = (
    "## What it means",
    "## Who is hurt",
    "## How to see it",
    "## What to do",
    "## When it is over",
)

each_rule = pytest.mark.parametrize("rule", _RULES, ids=[rule["alert"] for rule in _RULES])


@each_rule
def test_an_alert_says_what_is_wrong_and_how_bad_it_is(rule: dict[str, Any]) -> None:
    assert rule["labels"]["severity"] in {"critical", "warning"}
    words = rule["annotations"]
    assert set(words) == {"summary", "description", "runbook"}
    assert words["summary"].endswith(".")
    assert "$value" in words["description"], "says the figure"
    assert (
        "$labels" not in words["summary"] + words["description"]
        or " by " in rule["expr"]
        or ("sum(" not in rule["expr"] and "max(" not in rule["expr"])
    ), "an aggregation without `by` leaves no label to speak of"


@each_rule
def test_an_alert_leads_to_its_runbook(rule: dict[str, Any]) -> None:
    name = rule["alert"]
    assert rule["annotations"]["runbook"] == f"deploy/runbooks/alerts/{name}.md"
    page = (RUNBOOKS / "alerts" / f"{name}.md").read_text("utf-8")
    assert page.startswith(f"# {name}\n")
    assert re.findall(r"^## .*$", page, re.MULTILINE) == list(_SECTIONS)


def test_alerts_have_names_of_their_own_that_say_whose_they_are() -> None:
    names = [rule["alert"] for rule in _RULES]
    assert len(set(names)) == len(names)
    assert all(re.fullmatch(r"Passbook([A-Z][a-z]+)+", name) for name in names)


def test_every_page_has_an_alert_and_is_in_the_index() -> None:
    pages = {path.stem for path in (RUNBOOKS / "alerts").glob("*.md")}
    assert pages == {rule["alert"] for rule in _RULES}
    index = (RUNBOOKS / "README.md").read_text("utf-8")
    linked = set(re.findall(r"\]\(([^)#]+\.md)\)", index))
    there = {str(path.relative_to(RUNBOOKS)) for path in RUNBOOKS.rglob("*.md")} - {"README.md"}
    assert there <= linked
