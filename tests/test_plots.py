"""The page of `dvc plots show`, made by DVC's own renderers with our template."""

from pathlib import Path

from dvc.config import Config
from dvc_render import ImageRenderer, VegaRenderer, render_html

ROOT = Path(__file__).resolve().parents[1]


def test_pictures_fit_the_window_and_what_needs_the_network_says_so(tmp_path):
    template = ROOT / ".dvc" / Config(dvc_dir=str(ROOT / ".dvc"))["plots"]["html_template"]
    picture = ImageRenderer([{"src": "types.png", "rev": "workspace"}], "reports/figures/types.png")
    plot = VegaRenderer([{"x": 1, "y": 2, "rev": "workspace"}], "F1 by epoch", x="x", y="y")
    page = render_html([picture, plot], tmp_path / "index.html", html_template=template).read_text()
    assert "img { max-width: 100%" in page and 'src="types.png"' in page
    assert "overflow: visible !important" in page and "white-space: nowrap" in page  # what is undone, still there
    assert "cdn.jsdelivr.net, which could not be reached" in page and "vegaEmbed('#F1_by_epoch'" in page
    assert not any(name in page for name in ("{scripts}", "{plot_divs}", "{refresh_tag}"))
