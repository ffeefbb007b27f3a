"""The reference PyTorch implementation and ours, trained side by side."""
