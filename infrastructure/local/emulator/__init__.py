"""The AWS emulator (MiniStack: DynamoDB, S3, SQS, KMS, SSM, SES) with durable state."""
