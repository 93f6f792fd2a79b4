"""WhatsApp Web in Chromium: the process, the page, the page's state and its recovery."""
