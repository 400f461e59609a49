"""The API Ollama Host's `launcher.py`: the same as a service. Takes all that `foz service install` takes."""

import os
import sys

os.execv(sys.executable, [sys.executable, "-m", "foz", "service", "install", "--port", "5000", *sys.argv[1:]])
