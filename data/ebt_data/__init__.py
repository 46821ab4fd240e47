"""What a step is, and how steps are kept: the vocabulary of every other package, which imports none of them."""
