"""The archive: the old part of the log in Parquet files, and whatever reads through to it.

`records` is what the database knows of the files, `segments` is the files, `files` opens those that
are as they were recorded, `through` completes what a store has read from its table. `run` moves
events out, `restore` brings them back, `verification` looks whether all is there.
"""
