"""The twin's tasks, and the scripted operator who demonstrates them: one file a task."""
