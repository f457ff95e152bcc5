"""The patterns of the guide, each a function of a connected client and plain values."""
