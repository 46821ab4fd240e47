"""The digital twin: a MuJoCo bench behind the real motor protocol and the real camera pipeline."""
