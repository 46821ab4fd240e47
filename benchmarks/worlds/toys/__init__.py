"""Three small worlds in numpy on which imitation learning can be compared within seconds; see `toys.toy`."""
