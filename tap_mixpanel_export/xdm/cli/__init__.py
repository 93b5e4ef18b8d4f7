"""The command `mixpanel-xdm`."""
