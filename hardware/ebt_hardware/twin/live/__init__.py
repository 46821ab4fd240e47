"""The twin in real time: a separate process that serves motors on ptys and camera images in shared memory."""
