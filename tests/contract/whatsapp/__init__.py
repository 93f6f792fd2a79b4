"""The simulated WhatsApp against the unmodified wa-js, in a real Chromium."""
