"""The web page: panels that hand what people click to the pipelines. `mien studio` serves it."""
