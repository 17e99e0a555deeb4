"""The gateway: an ASGI application around a `Dispatcher`, speaking the interfaces of OpenAI, Azure, Anthropic and Google.

`app` is the application, `routes` knows the endpoint for each path, `admission` refuses requests under overload. Each endpoint
for models is a file (`chat`, `completions`, `embeddings`, `messages`, `count_tokens`, `responses`, `gemini`, `azure`, `models`);
`passthrough` passes on what is asked of a vendor itself, and `admin` has the ones about the house itself. They share `http`
(bodies, headers, answers), `styles` (each interface's envelope for errors), `failures` (the house's errors as such),
`dispatching` (the `x-dispatch-...` headers) and `streaming` (a streamed answer on its way). Any ASGI server that runs on trio
can serve it; the daemon uses `runtime.wire.server`.
"""
