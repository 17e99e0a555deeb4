"""The wire formats: what the JSON of a vendor looks like, in both directions, without its door.

One package a format. A format knows bodies and streams and how to translate them from and to
`runtime.canon`; where they are sent, and with which key, is a dialect's business.
"""
