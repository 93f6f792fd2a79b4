"""MiniStack, which plays DynamoDB, S3, SQS, KMS, SSM and SES on one machine, made durable."""
