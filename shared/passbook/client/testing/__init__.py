"""For the tests of other people's code: a bank in memory, with the interface of `PassbookClient`.

    async def test_salary_is_paid() -> None:
        bank = FakeBank()
        opened = await bank.open_account("Alice", "100.00")
        await pay_salary(bank, opened.account_id)          # the code under test takes a `Bank`
        assert bank.account(opened.account_id).balance == Decimal("2100.00")

Commands are decided by the rules of the real bank and known by the same ids; what subscribers get
goes through the same code. `lose_next_command`, `lose_next_answer`, `lose_next_event` and
`repeat_last_event` do what a network can do to you.
"""

from passbook.client.testing.bank import FakeBank

__all__ = ["FakeBank"]
