"""Foz: one gateway for every language model."""

__version__ = "0.1.0"
