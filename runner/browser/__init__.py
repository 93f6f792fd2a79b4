"""WhatsApp Web in Chromium: the process, the page, what the page shows and how it recovers."""
