"""Notices: which news the owner and the operators hear of, and when they are sent. Pure; every rule takes `now`."""
