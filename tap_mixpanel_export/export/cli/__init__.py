"""`mixpanel-export`: for people and scripts without Singer."""
