"""Networks: observation encoder, transformer, energy. Independent of losses and of the bench."""
