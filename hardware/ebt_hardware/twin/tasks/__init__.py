"""The twin's tasks, one file each, and the scripted operator that demonstrates them."""
