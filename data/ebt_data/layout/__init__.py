"""The episode file's layout: datasets, attributes, columns and how a picture is encoded.

No knowledge of files' names or of who writes and reads.
"""
