"""Runs an exported translator on any picture. Nothing in here imports torch."""
