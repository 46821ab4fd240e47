"""The stages of `ebt demo`: its folder, how far it got, and its report."""
