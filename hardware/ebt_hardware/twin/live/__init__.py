"""The twin in real time: a process of its own that serves motors on ptys and pictures in shared memory."""
