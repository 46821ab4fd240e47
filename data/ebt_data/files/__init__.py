"""Files on disk: atomic writes, checksums, committing a recording, and signals deferred meanwhile.

Nothing about an episode's content.
"""
