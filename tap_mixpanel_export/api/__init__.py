"""What Mixpanel's service says and wants: one query, credentials, quota."""
