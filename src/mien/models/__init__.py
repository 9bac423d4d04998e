"""Networks: the E-Adapter's attention and projections, the autoencoder, the injections it is compared with."""
