"""Recipes, the training loop, checkpoints and measures."""
