"""What others rely on, as documents that are generated from the code which they describe.

`shapes` has the JSON of what we send; that of what we accept is in `messaging.command_shapes`.
"""
