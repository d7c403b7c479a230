# Licensed under a 3-clause BSD style license - see LICENSE
import numpy as np

from gammapy_asid.optical.images.crowds import beside_crowds


def test_a_cluster_gets_the_sky_around():
    level, noise = np.full((8, 8), 100.0), np.full((8, 8), 5.0)
    level[3:5, 3:5], noise[3:5, 3:5] = 400.0, 60.0
    new_level, new_noise = beside_crowds(level, noise, noise)
    assert np.all(new_level == 100) and np.all(new_noise == 5)


def test_a_shallower_part_of_a_mosaic_stays():
    level, noise = np.full((8, 8), 100.0), np.full((8, 8), 5.0)
    noise[:, 4:] = 12.0
    same_level, same_noise = beside_crowds(level, noise, noise)
    assert np.array_equal(same_noise, noise) and np.array_equal(same_level, level)
