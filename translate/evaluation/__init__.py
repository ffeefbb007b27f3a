"""Measuring an exported translator, as it is served, on pictures that it was not trained on."""
