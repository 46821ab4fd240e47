"""The digital twin: a simulated MuJoCo bench behind the real motor protocol and the real camera pipeline."""
