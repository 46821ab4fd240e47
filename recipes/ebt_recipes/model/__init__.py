"""Networks: observation encoder, transformer, energy. Knows no loss and no bench."""
