"""The event store: streams with versions, slots with gapless numbers, one way to append.

`store` is the contract, `postgres` and `memory` keep it, `repository` makes accounts of it.
"""
