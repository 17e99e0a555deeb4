"""The gateway: an ASGI application around a `Dispatcher`, speaking OpenAI's interface.

`app` finds the endpoint for a path, `admission` refuses requests under overload, `chat` is the chat endpoint, `admin` the ones about the house itself,
`http` what they share: bodies, headers, answers. Any ASGI server that runs on trio can serve it; the daemon
uses `runtime.wire.server`.
"""
