"""The bench: followers, cameras and a clock behind `observe` and `act`. Opens no device itself."""
