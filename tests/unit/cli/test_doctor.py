from passbook.cli.checks.finding import State, Verdict, examine, failed, fine, warning
from passbook.eventstore.errors import StoreUnavailable


async def test_what_a_check_raises_is_a_failure_with_the_given_remedy() -> None:
    async def check() -> Verdict:
        raise StoreUnavailable("PostgreSQL: no answer")

    name, verdict = await examine("store", check(), "start it")

    assert name == "store"
    assert verdict == Verdict(State.FAILED, "PostgreSQL: no answer", "start it")


async def test_only_a_failure_is_not_ok() -> None:
    for verdict, ok in (
        (fine("good"), True),
        (warning("so so", "mend it"), True),
        (Verdict(State.SKIPPED, "not asked"), True),
        (failed("bad", "mend it"), False),
    ):

        async def check(found: Verdict = verdict) -> Verdict:
            return found

        finding = await examine("thing", check())

        assert finding.to_dict() == {"name": "thing", "ok": ok, **verdict._asdict()}
