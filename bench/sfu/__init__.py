"""The meetings of bench-sfu: the media clients (C, load/), and the signaling that each server wants from them."""
