"""The closed loop, and the procedures around it: collect, deploy, recorded episodes and parallel rollouts."""
