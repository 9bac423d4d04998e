"""How the embedded models were made; run from the checkout, and no part of what is installed."""
