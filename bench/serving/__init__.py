"""The server against a bare loop, and against another server, in one run."""
