"""Pictures for training: paired, unpaired, and clean photographs damaged on the fly."""
