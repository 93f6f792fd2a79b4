"""Fault injection on real processes; the harness reads the table with the application's own code."""

import sys
from pathlib import Path

_APPLICATION = Path(__file__).resolve().parents[2] / "chalice_app"
# pytest's configuration adds these paths; `python -m tests.chaos` does not.
sys.path += [str(path) for path in (_APPLICATION, _APPLICATION / "vendor") if str(path) not in sys.path]
