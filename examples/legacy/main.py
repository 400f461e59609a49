"""The API Ollama Host's `main.py`: the gateway on 127.0.0.1:5000. Takes all that `foz serve` takes."""

import os
import sys

os.execv(sys.executable, [sys.executable, "-m", "foz", "serve", "--port", "5000", *sys.argv[1:]])
