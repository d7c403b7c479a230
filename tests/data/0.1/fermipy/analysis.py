"""Likelihood analysis of candidates with fermipy, in the folder of this script.

Needs fermipy and the Fermitools. Steps whose files exist are not repeated by fermipy.
Read the result with gammapy_asid.likelihood.fermipy.read_fermipy("results.npy").
"""

from pathlib import Path

from fermipy.gtanalysis import GTAnalysis

FOLDER = Path(__file__).resolve().parent

#: Names of the candidates.
NAMES = [
    "ASID J0527.8+2122",
    "ASID J0533.1+2211",
    "ASID J0529.5+2227"
]

#: From this test statistic the shape of a spectrum is free, not only its level.
SHAPE_TS = 25.0
#: From this square root of the test statistic of extension a source is made extended.
SQRT_TS_EXT = 4.0
#: Levels of sources within this distance in deg are free where one is localised or extended.
FREE_RADIUS = 1.0


def free_model(gta):
    """Free the levels of diffuse emission and candidates, and the shapes of bright candidates."""
    gta.free_sources(free=False)
    for source in gta.roi.diffuse_sources:
        gta.free_source(source.name, pars="norm")
    for name in NAMES:
        gta.free_source(name, pars="norm")
        if gta.roi[name]["ts"] > SHAPE_TS:
            gta.free_source(name, pars="shape")


def for_each(method, **options):
    """Call a method for each candidate; one that fails stops no other."""
    for name in NAMES:
        try:
            method(name, **options)
        except Exception as error:
            print(f"{method.__name__} of {name} failed: {error}")


def main():
    gta = GTAnalysis(str(FOLDER / "config.yaml"))
    gta.setup()
    if gta.config["gtlike"]["edisp_bins"] == 0:
        # With these files Gammapy reads the data: FermipyDatasetsReader("config.yaml", edisp_bins=...)
        gta.compute_psf(overwrite=True)
        gta.compute_drm(edisp_bins=0, overwrite=True)
    gta.optimize()
    free_model(gta)
    gta.fit()
    gta.write_roi("fit")

    for_each(gta.localize, update=True, free_radius=FREE_RADIUS)
    for_each(
        gta.extension,
        update=True,
        sqrt_ts_threshold=SQRT_TS_EXT,
        free_radius=FREE_RADIUS,
        make_tsmap=False,
    )
    # Positions and widths have changed: all levels anew
    free_model(gta)
    gta.fit()
    for_each(gta.sed, free_radius=FREE_RADIUS)
    gta.print_roi()
    gta.write_roi("results")


if __name__ == "__main__":
    main()
