"""One module a step: download, trace, compile, curate, quantize, validate, publish."""
