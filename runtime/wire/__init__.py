"""HTTP on trio streams: the client transport, the ASGI server, and the decoders of streamed bodies.

Nothing is imported here: a program that only decodes events should not pay for TLS, and one that
only calls out should not pay for a server.
"""
