"""How fast a step of training is, against the reference PyTorch implementation's."""
