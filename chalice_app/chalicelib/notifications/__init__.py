"""Mails to owners and operators, and what SES reports about mails that were sent."""
