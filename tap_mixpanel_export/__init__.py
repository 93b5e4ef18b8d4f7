"""Raw Mixpanel events as a Singer stream, and their mapping to XDM."""
