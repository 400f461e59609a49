"""The OCI GenAI Proxy's `app.py [--port]`: the gateway on port 8000. Takes all that `foz serve` takes."""

import os
import sys

os.execv(sys.executable, [sys.executable, "-m", "foz", "serve", *sys.argv[1:]])
