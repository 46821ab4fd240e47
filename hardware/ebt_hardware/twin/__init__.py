"""The digital twin: a MuJoCo bench behind the real wire protocol and the real camera pipeline."""
