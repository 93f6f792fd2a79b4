"""Adapters of AWS services, one file for each; DynamoDB is in ``store/``."""
