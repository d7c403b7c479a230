# Licensed under a 3-clause BSD style license - see LICENSE
import pytest


@pytest.fixture(scope="session")
def response(make_response):
    return make_response(0.1)


@pytest.fixture(scope="session")
def tables(response):
    from gammapy_asid.inputs.psf import psf_tables

    return psf_tables(response)


@pytest.fixture(scope="session")
def fields(response):
    """Square fields of a flat sky in the bands of the model ``lat``, with point sources."""
    return Fields(response)


class Fields:
    size = 48
    levels = (3, 2, 1, 0, 0, 0)
    #: Sky in counts of a pixel of each band.
    rates = (150.0, 40.0, 4.0, 0.6, 0.05, 0.01)

    def __init__(self, response):
        import torch

        self.response = response
        #: Counts of a source in each band.
        self.counts = torch.tensor([300.0, 300, 200, 150, 60, 30])
        #: A place near the middle, in pixels.
        self.middle = torch.tensor([24.2, 23.7])

    def sky(self, n):
        """Maps of ``n`` fields without sources, one a band."""
        import torch

        return [
            torch.full((n, self.size >> level, self.size >> level), rate)
            for level, rate in zip(self.levels, self.rates, strict=True)
        ]

    def with_sources(self, tables, n, field, x, y, counts):
        """Expected counts of ``n`` fields with sources at pixels ``x, y`` of ``field``."""
        from gammapy_asid.stats.source_images import source_images

        images = source_images(tables, self.levels, (n, self.size, self.size), field, x, y, counts)
        return [s + i for s, i in zip(self.sky(n), images, strict=True)]

    def batch(self, expected, seed=None, background=None):
        """Counts as expected, or drawn with a seed."""
        import numpy as np
        import torch

        from gammapy_asid.inputs.batch import FieldBatch
        from gammapy_asid.inputs.conditioning import conditions, feature_kernels, trial_spectra

        n, response = len(expected[0]), self.response
        rng = np.random.default_rng(seed)
        counts = expected if seed is None else [torch.tensor(rng.poisson(e)).float() for e in expected]
        ones = [torch.ones_like(e) for e in expected]
        return FieldBatch(
            levels=self.levels,
            counts=counts,
            background=ones if background is None else background,
            mask=ones,
            exposure=ones,
            kernels=feature_kernels(response).float().expand(n, -1, -1, -1),
            spectra=torch.tensor(trial_spectra(response)).float().expand(n, -1, -1),
            conditions=torch.tensor(conditions(response, background is not None)).expand(n, -1),
            has_background=torch.full((n,), background is not None),
            pixel_size=torch.full((n,), response.pixel_size),
        )

    def pair(self, tables, half, seed=None, brightness=1.0, ratio=1.0):
        """A field with two sources at either side of the middle, and their pixels."""
        import torch

        x, y = self.middle[:, None] + torch.tensor(half)[:, None] * torch.tensor([1.0, -1.0])
        counts = brightness * torch.stack([ratio * self.counts, self.counts])
        expected = self.with_sources(tables, 1, torch.zeros(2, dtype=torch.long), x, y, counts)
        return self.batch(expected, seed, self.sky(1)), x, y
