"""The WebSocket server for Initiators (PROTOCOL §1): submissions go to the inbox, events come back from the log."""
