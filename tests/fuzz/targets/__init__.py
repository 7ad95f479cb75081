"""One target a parser.

Each module has `target(data)`, which hands the bytes to the parser, swallows the errors that the parser declares, and
lets everything else out; and `seeds()`, valid samples to start from. `JSON = True` asks for inputs that stay JSON.
"""
