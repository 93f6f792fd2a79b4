"""HTTP: the owner's landing page, the admin, the runners' API, and the widget of the CloudWatch console."""
