"""Calling the URLs that operators register, and proving who called: signatures after Standard Webhooks, and a client
that reaches no address it must not. Imports nothing else of MAGI.
"""
