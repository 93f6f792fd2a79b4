"""Figures in seconds: each script prints medians of five beside a calibration of the same run."""
