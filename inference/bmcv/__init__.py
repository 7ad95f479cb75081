"""Decoding and preprocessing on the device, by the vendor's BMCV."""
