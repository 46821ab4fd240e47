"""The twin's pictures: exposure, rendering and the cameras that stream them."""
