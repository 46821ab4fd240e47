"""The episode file's layout: datasets, attributes, image encoding and checksums.

Nothing here depends on file names, or on the writer and the reader.
"""
