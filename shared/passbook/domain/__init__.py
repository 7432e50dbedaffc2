"""The bank, and nothing but the bank: standard library only, no I/O, no clock, no asyncio.

Read `account.py` first: it holds every rule. The other modules are its vocabulary.
"""
