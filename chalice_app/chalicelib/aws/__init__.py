"""One file for each AWS service, and the only importer of its client; DynamoDB is in ``store/``."""
