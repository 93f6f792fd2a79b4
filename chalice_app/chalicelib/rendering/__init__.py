"""Templates, sentences, QR codes and static files: from values to what a person reads."""
