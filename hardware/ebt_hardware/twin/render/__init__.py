"""Camera images of the twin: exposure, rendering and streaming."""
