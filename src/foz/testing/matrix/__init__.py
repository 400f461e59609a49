"""What each face must hear from each provider, as data. `tests/contract/test_matrix.py` runs it."""
