"""Three small numpy simulations on which imitation learning can be compared within seconds; see `toys.toy`."""
