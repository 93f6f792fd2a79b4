"""Other WhatsApp Web libraries on the same simulator."""
