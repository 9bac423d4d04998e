"""Parts put together: a portrait from an identity, an expression and a prompt."""
