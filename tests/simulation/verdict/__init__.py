"""The promises that every history must keep: one module for each concept, observed from outside the code."""

from tests.simulation.verdict.inspector import Inspector as Inspector
