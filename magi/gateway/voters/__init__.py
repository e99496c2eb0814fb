"""Voters over WebSocket (PROTOCOL §2): each connection is an instance of its voter and has tasks of its own."""
