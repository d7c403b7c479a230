# Licensed under a 3-clause BSD style license - see LICENSE
"""Fluxes of sources in images: what an ensemble learns from what the joint fit leaves."""
