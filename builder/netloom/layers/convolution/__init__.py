"""Convolutions, their padding, and upsampling."""
