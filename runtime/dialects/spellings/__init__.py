"""How vendors say what is wrong, as tables of `recognise.Rule`: `compatible` for everybody who speaks the
chat-completions format, `anthropic`, `google`, and `shared` for sentences that several of them use.

A new spelling is a row here and a recorded (or documented) body in the tests. In each table the first row that fits
counts, so what is particular stands above what is general.
"""
