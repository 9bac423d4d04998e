"""Networks: the E-Adapter's attention and projections, the autoencoder, and what it is compared with."""
