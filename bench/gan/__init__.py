"""The papers' effects, measured: `python -m bench.gan`."""
