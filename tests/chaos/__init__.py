"""Real processes under real faults; the harness uses the application's own code to read its table."""

import sys
from pathlib import Path

_APPLICATION = Path(__file__).resolve().parents[2] / "chalice_app"
# pytest has them by its configuration; `python -m tests.chaos` has not.
sys.path += [str(path) for path in (_APPLICATION, _APPLICATION / "vendor") if str(path) not in sys.path]
