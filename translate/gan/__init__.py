"""Building blocks of adversarial training: each idea once, each file independent of its neighbours."""
