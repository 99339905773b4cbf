"""The server: explained predictions over HTTP."""
