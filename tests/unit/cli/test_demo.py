from io import StringIO

from rich.console import Console

from passbook.cli.demo.report import Report


def test_one_check_that_does_not_hold_spoils_the_report() -> None:
    written = StringIO()
    report = Report(Console(file=written, width=80))
    report.chapter("A chapter", "what it is about")
    report.check("first", "as it should be", ok=True)
    assert report.ok

    report.check("second", "broken", ok=False)
    report.conclude()

    assert not report.ok
    assert report.to_dict() == {
        "ok": False,
        "checks": [
            {"name": "first", "ok": True, "detail": "as it should be"},
            {"name": "second", "ok": False, "detail": "broken"},
        ],
    }
    assert "1 checks failed: second" in written.getvalue()


def test_a_report_without_a_console_only_collects() -> None:
    report = Report(None)
    report.check("first", "fine", ok=True)
    report.conclude()

    assert report.ok
