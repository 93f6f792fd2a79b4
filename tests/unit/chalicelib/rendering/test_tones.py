"""Tones: every phase has one that the style sheet knows."""

from chalicelib.rendering.tones import PHASE_TONES
from wire import Phase


def test_every_phase_has_a_tone() -> None:
    assert set(PHASE_TONES) == set(Phase)
    assert set(PHASE_TONES.values()) <= {"ok", "working", "attention", "problem", "quiet"}
