"""Hardware: bench, Dynamixel bus, RealSense cameras, teleoperators, safety, and the digital twin of all of it."""
