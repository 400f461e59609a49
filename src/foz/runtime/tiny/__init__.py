"""
The model that comes with Foz: `foz-tiny`, a GGUF file of less than one megabyte beside this one.

It greets in English, Portuguese and Chinese, and says of everything else that it is a demonstration and cannot. It is
deployed like any other model. `make tiny` trains it anew, from text in this repository: scripts/tiny.
"""

from pathlib import Path

NAME = "foz-tiny"
FILE = Path(__file__).parent / "foz-tiny.gguf"
