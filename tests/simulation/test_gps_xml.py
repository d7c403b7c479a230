# Licensed under a 3-clause BSD style license - see LICENSE
import logging

import astropy.units as u
import numpy as np
import pytest
from astropy.io import fits
from astropy.table import Table
from gammapy.maps import Map, MapAxis, WcsGeom
from gammapy.modeling.models import GaussianSpatialModel, ShellSpatialModel

from gammapy_asid.simulation.gps_xml import read_ctools_xml

TEV, FLUX = 1 * u.TeV, u.Unit("cm-2 s-1 TeV-1")


def parameters(values):
    return "".join(
        f'<parameter name="{k}" value="{v}" scale="{s}" free="1"/>' for k, (v, s) in values.items()
    )


POINT = '<spatialModel type="PointSource">' + parameters({"RA": (83, 1), "DEC": (22, 1)}) + "</spatialModel>"
POWER_LAW = (
    '<spectrum type="PowerLaw">'
    + parameters({"Prefactor": (2, 1e-18), "Index": (2.5, -1), "PivotEnergy": (1, 1e6)})
    + "</spectrum>"
)


def source(name="one", spectrum=POWER_LAW, shape=POINT, more=""):
    return f'<source name="{name}" type="PointSource">{spectrum}{shape}{more}</source>'


def read(tmp_path, *sources, **options):
    path = tmp_path / "sky.xml"
    path.write_text('<source_library title="sky">' + "".join(sources) + "</source_library>")
    return read_ctools_xml(path, **options)


def spectrum(kind, values, attributes=""):
    return f'<spectrum type="{kind}" {attributes}>{parameters(values)}</spectrum>'


def test_point_source(tmp_path):
    model = read(tmp_path, source())["one"]
    assert model.spatial_model.frame == "icrs"
    assert model.position.ra.deg == pytest.approx(83)
    assert model.position.dec.deg == pytest.approx(22)
    # 2e-18 per MeV is 2e-12 per TeV.
    assert model.spectral_model(TEV).to_value(FLUX) == pytest.approx(2e-12)
    assert model.spectral_model(10 * TEV).to_value(FLUX) == pytest.approx(2e-12 * 10**-2.5)
    assert not model.spectral_model.amplitude.frozen


PREFACTOR = {"Prefactor": (1, 1e-18)}


@pytest.mark.parametrize(
    "xml, ratio",
    [
        (
            spectrum(
                "ExponentialCutoffPowerLaw",
                PREFACTOR | {"Index": (2, -1), "CutoffEnergy": (5, 1e6), "PivotEnergy": (1, 1e6)},
            ),
            10**-2 * np.exp(-10 / 5) / np.exp(-1 / 5),
        ),
        (
            spectrum("ExpCutoff", PREFACTOR | {"Index": (2, -1), "Cutoff": (5, 1e6), "Scale": (1, 1e6)}),
            10**-2 * np.exp(-10 / 5) / np.exp(-1 / 5),
        ),
        (
            spectrum(
                "SuperExponentialCutoffPowerLaw",
                PREFACTOR
                | {"Index1": (2, -1), "CutoffEnergy": (5, 1e6), "Index2": (0.5, 1), "PivotEnergy": (1, 1e6)},
            ),
            10**-2 * np.exp(-(2**0.5)) / np.exp(-(0.2**0.5)),
        ),
        (
            spectrum(
                "LogParabola",
                PREFACTOR | {"Index": (2, -1), "Curvature": (0.1, -1), "PivotEnergy": (1, 1e6)},
            ),
            10 ** -(2 + 0.1 * np.log(10)),
        ),
        (
            spectrum(
                "BrokenPowerLaw",
                PREFACTOR | {"Index1": (2, -1), "Index2": (3, -1), "BreakEnergy": (2, 1e6)},
            ),
            5**-3 / 0.5**-2,
        ),
        (
            spectrum(
                "SmoothBrokenPowerLaw",
                PREFACTOR
                | {
                    "Index1": (2, -1),
                    "Index2": (3, -1),
                    "PivotEnergy": (1, 1e6),
                    "BreakEnergy": (2, 1e6),
                    "BreakSmoothness": (0.5, 1),
                },
            ),
            10**-2 * (1 + 5**2) ** -0.5 / (1 + 0.5**2) ** -0.5,
        ),
        (
            '<spectrum type="NodeFunction">'
            + "".join(
                f"<node>{parameters({'Energy': (e, 1e6), 'Intensity': (f, 1e-18)})}</node>"
                for e, f in ((0.1, 100.0), (1, 1.0), (100, 1e-5))
            )
            + "</spectrum>",
            10**-2.5,
        ),
        (
            '<spectrum type="Composite">'
            + POWER_LAW
            + spectrum("PowerLaw", PREFACTOR | {"Index": (1, -1), "PivotEnergy": (1, 1e6)})
            + "</spectrum>",
            (2 * 10**-2.5 + 10**-1) / 3,
        ),
    ],
)
def test_spectra(tmp_path, xml, ratio):
    model = read(tmp_path, source(spectrum=xml))["one"].spectral_model
    assert (model(10 * TEV) / model(TEV)).to_value("") == pytest.approx(ratio, rel=1e-6)


def test_file_function(tmp_path):
    energy = np.geomspace(1e4, 1e9, 30)
    dnde = 1e-6 * energy**-2.0
    dnde[-1] = 0
    np.savetxt(tmp_path / "table.txt", np.column_stack([energy, dnde]))
    xml = spectrum("FileFunction", {"Normalization": (3, 1)}, 'file="table.txt"')
    model = read(tmp_path, source(spectrum=xml))["one"].spectral_model
    assert model(TEV).to_value("cm-2 s-1 MeV-1") == pytest.approx(3e-18, rel=1e-6)


def shape(kind, values, attributes=""):
    position = {"RA": (266.0, 1), "DEC": (-29.0, 1)}
    return f'<spatialModel type="{kind}" {attributes}>{parameters(position | values)}</spatialModel>'


def test_shapes(tmp_path):
    models = read(
        tmp_path,
        source("gauss", shape=shape("RadialGaussian", {"Sigma": (0.2, 1)})),
        source("disk", shape=shape("RadialDisk", {"Radius": (0.3, 1)})),
        source("shell", shape=shape("RadialShell", {"Radius": (0.4, 1), "Width": (0.1, 1)})),
        source(
            "long",
            shape=shape(
                "EllipticalGaussian", {"PA": (30, 1), "MajorRadius": (0.1, 1), "MinorRadius": (0.2, 1)}
            ),
        ),
    )
    assert models["gauss"].spatial_model.sigma.quantity == 0.2 * u.deg
    assert models["disk"].spatial_model.r_0.quantity == 0.3 * u.deg
    shell = models["shell"].spatial_model
    assert isinstance(shell, ShellSpatialModel)
    assert (shell.radius.value, shell.width.value) == (0.4, 0.1)
    ellipse = models["long"].spatial_model
    # The longer axis is the 'minor' one: 90 deg from the angle that the file gives.
    assert ellipse.sigma.value == 0.2
    assert ellipse.e.value == pytest.approx(np.sqrt(0.75))
    assert ellipse.phi.value == pytest.approx(-60)


def test_galactic_position(tmp_path):
    xml = (
        '<spatialModel type="RadialGaussian">'
        + parameters({"GLON": (10, 1), "GLAT": (1, 1), "Sigma": (0.1, 1)})
        + "</spatialModel>"
    )
    model = read(tmp_path, source(shape=xml))["one"]
    assert isinstance(model.spatial_model, GaussianSpatialModel)
    assert model.position.galactic.l.deg == pytest.approx(10)


def diffuse(kind, name):
    return f'<spatialModel type="{kind}" file="{name}">{parameters({"Normalization": (1, 1)})}</spatialModel>'


def test_map_is_normalised(tmp_path):
    geom = WcsGeom.create(skydir=(10, 0), npix=(20, 10), binsz=0.1, frame="galactic", proj="TAN")
    image = Map.from_geom(geom)
    image.data[3:6, 4:8] = 7.0
    image.write(tmp_path / "map.fits")
    template = read(tmp_path, source(shape=diffuse("DiffuseMap", "map.fits")))["one"].spatial_model
    total = (template.map.quantity * geom.solid_angle()).sum().to_value("")
    assert total == pytest.approx(1)
    assert template.map.geom.data_shape == (10, 20)


def test_map_with_a_matrix(tmp_path):
    """A header with CD and CDELT keeps its pixels and raises no warning."""
    header = WcsGeom.create(skydir=(83, 22), npix=(8, 8), binsz=0.2, proj="TAN").to_header()
    header.update({"CD1_1": -0.2, "CD1_2": 0.0, "CD2_1": 0.0, "CD2_2": 0.2, "RADECSYS": "FK5"})
    fits.writeto(tmp_path / "map.fits", np.ones((8, 8)), header)
    template = read(tmp_path, source(shape=diffuse("DiffuseMap", "map.fits")))["one"].spatial_model
    np.testing.assert_allclose(template.map.geom.pixel_scales.to_value("deg"), 0.2)


def test_cube(tmp_path):
    axis = MapAxis.from_nodes([1e4, 1e5, 1e6], unit="MeV", name="energy_true", interp="log")
    geom = WcsGeom.create(skydir=(10, 0), npix=(6, 6), binsz=0.5, frame="galactic", axes=[axis])
    energies = fits.BinTableHDU(Table({"Energy": axis.center.value}), name="ENERGIES")
    data = np.array([1e-9, 1e-11, 1e-13])[:, None, None] * np.ones((6, 6))
    image = fits.PrimaryHDU(data, geom.to_image().to_header())
    fits.HDUList([image, energies]).writeto(tmp_path / "cube.fits")
    xml = source(
        spectrum=spectrum("Constant", {"Normalization": (2, 1)}), shape=diffuse("DiffuseMapCube", "cube.fits")
    )
    model = read(tmp_path, xml)["one"]
    centre = geom.center_skydir
    value = model.evaluate(centre.l, centre.b, [0.1] * u.TeV)
    assert value.to_value("cm-2 s-1 MeV-1 sr-1") == pytest.approx(2e-11, rel=1e-3)


FLAT = np.ones((6, 6))
FACTOR = spectrum("PowerLaw", {"Prefactor": (2, 1), "Index": (-0.5, 1), "PivotEnergy": (1, 1e4)})
NODES = (
    '<spectrum type="NodeFunction">'
    + "".join(f"<node>{parameters({'Energy': (e, 1), 'Intensity': (2, 1)})}</node>" for e in (1e3, 1e7))
    + "</spectrum>"
)


@pytest.mark.parametrize("unit", ["MeV", "GeV", "TeV", None])
@pytest.mark.parametrize(
    "factor, value",
    [(FACTOR, 2 * 10**-0.5), (NODES, 2), (f'<spectrum type="Composite">{NODES}{NODES}</spectrum>', 4)],
)
def test_cube_in_any_unit_with_any_factor(tmp_path, unit, factor, value):
    """A cube falls as the second power of the energy, and its spectrum is a factor on it."""
    energy = np.array([1e4, 1e5, 1e6])
    own = (energy * u.MeV).to_value(unit or "MeV")
    table = fits.BinTableHDU.from_columns([fits.Column("Energy", "D", unit, array=own)], name="ENERGIES")
    header = WcsGeom.create(npix=(6, 6), binsz=0.5, frame="galactic").to_header()
    cube = fits.PrimaryHDU(1e-9 * (energy / 1e4)[:, None, None] ** -2 * FLAT, header)
    fits.HDUList([cube, table]).writeto(tmp_path / "cube.fits")
    model = read(tmp_path, source(spectrum=factor, shape=diffuse("DiffuseMapCube", "cube.fits")))["one"]
    found = model.evaluate(0 * u.deg, 0 * u.deg, [0.1] * u.TeV)
    assert found.to_value("cm-2 s-1 MeV-1 sr-1") == pytest.approx(value * 1e-11, rel=1e-3)


def test_spectra_that_scale_no_cube(tmp_path):
    shape = diffuse("DiffuseMapCube", "cube.fits")
    with pytest.raises(ValueError, match="a spectrum of a cube of type 'LogParabola' can't be read"):
        read(tmp_path, source(spectrum=spectrum("LogParabola", {}), shape=shape))


def test_constant_flux(tmp_path):
    constant = spectrum("Constant", {"Normalization": (2, 1e-18)})
    model = read(tmp_path, source(spectrum=constant))["one"]
    assert model.spectral_model(TEV).to_value(FLUX) == pytest.approx(2e-12)


@pytest.mark.parametrize("normalize, total", [("", 1), ('normalize="1"', 1), ('normalize="0"', 7)])
def test_map_is_normalised_if_wanted(tmp_path, normalize, total):
    geom = WcsGeom.create(npix=(6, 6), binsz=0.5, frame="galactic", proj="TAN")
    fits.writeto(tmp_path / "map.fits", 7 * FLAT / geom.solid_angle().value.sum(), geom.to_header())
    shape = diffuse("DiffuseMap", "map.fits").replace('file="', f'{normalize} file="')
    template = read(tmp_path, source(shape=shape))["one"].spatial_model
    assert (template.map.quantity * geom.solid_angle()).sum().to_value("") == pytest.approx(total)


def curve(attributes):
    return f'<temporal type="PhaseCurve" file="curve.fits" {attributes}/>'


@pytest.mark.parametrize("attributes, factor", [("", 1.0), ('normalize="0"', 0.5)])
def test_phase_curve(tmp_path, attributes, factor):
    """A source that is on for half of the time has half of the flux, unless its curve is normalised."""
    phase = (np.arange(20) + 0.5) / 20
    table = Table({"PHASE": phase, "NORM": np.where(phase < 0.5, 1.0, 0.0)})
    table.write(tmp_path / "curve.fits")
    model = read(tmp_path, source(more=curve(attributes)))["one"]
    assert model.spectral_model(TEV).to_value(FLUX) == pytest.approx(2e-12 * factor)


def test_background_model_is_left_out(tmp_path):
    background = f'<source name="b" type="CTAIrfBackground">{POWER_LAW}</source>'
    assert read(tmp_path, background, source()).names == ["one"]


@pytest.mark.parametrize(
    "xml, message",
    [
        (source(spectrum='<spectrum type="Unknown"/>'), "'Unknown' can't be read: known are PowerLaw"),
        (source(shape='<spatialModel type="Unknown"/>'), "'Unknown' can't be read: known are PointSource"),
        (source(spectrum='<spectrum type="PowerLaw"/>'), "no parameter 'Prefactor'"),
        (source(spectrum=POWER_LAW.replace('"2"', '"two"')), "is no number: 'two'"),
        (source(spectrum=""), "no <spectrum>"),
        (source() + source(), "another source has its name"),
        (source(more='<temporal type="LightCurve"/>'), "'LightCurve' can't be read"),
        (source(spectrum='<spectrum type="NodeFunction"/>'), "has 0 nodes"),
        (source(spectrum='<spectrum type="Composite"/>'), "has no parts"),
        (source(spectrum='<spectrum type="FileFunction"/>'), "names no file"),
    ],
)
def test_bad_source(tmp_path, caplog, xml, message):
    with pytest.raises(ValueError, match=message):
        read(tmp_path, xml)
    with caplog.at_level(logging.WARNING):
        models = read(tmp_path, xml, source("good"), on_error="warn")
    assert "good" in models.names
    assert "is left out" in caplog.text


def test_missing_and_damaged_files(tmp_path):
    with pytest.raises(FileNotFoundError, match="No sky model"):
        read_ctools_xml(tmp_path / "none.xml")
    xml = source(shape=diffuse("DiffuseMap", "map.fits"))
    with pytest.raises(FileNotFoundError, match="unpack the files"):
        read(tmp_path, xml)
    fits.writeto(tmp_path / "map.fits", np.ones((40, 40)))
    whole = (tmp_path / "map.fits").read_bytes()
    (tmp_path / "map.fits").write_bytes(whole[:5000])
    with pytest.raises(ValueError, match="is damaged"):
        read(tmp_path, xml)
    (tmp_path / "bad.xml").write_text("<source_library>")
    with pytest.raises(ValueError, match="not valid XML"):
        read_ctools_xml(tmp_path / "bad.xml")
    (tmp_path / "other.xml").write_text("<other/>")
    with pytest.raises(ValueError, match="no sky model"):
        read_ctools_xml(tmp_path / "other.xml")
    with pytest.raises(ValueError, match="'raise' or 'warn'"):
        read(tmp_path, source(), on_error="ignore")
