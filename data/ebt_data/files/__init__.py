"""Files on disk: atomic writes, checksums, committing a recording, and signals deferred meanwhile.

Nothing here reads or writes an episode's content.
"""
