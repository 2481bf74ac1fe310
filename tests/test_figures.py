import numpy as np

from tigon.figures import (
    LINES,
    curves,
    image_grid,
    latent_grid,
    latent_plane,
    panels,
    stages,
    tile,
)


def colours(count, size=4):
    images = np.zeros((count, size, size, 3), np.uint8)
    images[..., 0] = np.arange(count)[:, None, None] * 10
    return images


def test_tiles_stand_in_rows_with_their_own_values():
    canvas = tile(colours(5), 3, gap=1)
    assert canvas.shape == (2 * 5 + 1, 3 * 5 + 1, 3)
    assert canvas[1, 1].tolist() == [0, 0, 0]
    assert canvas[1, 11].tolist() == [20, 0, 0]
    assert canvas[6, 6].tolist() == [40, 0, 0]
    assert canvas[6, 11].tolist() == [255, 255, 255]


def test_grey_images_become_grey_tiles():
    assert tile(np.full((1, 4, 4, 1), 7, np.uint8), 1)[3, 3].tolist() == [7, 7, 7]


def drawn(figure):
    return [axes.images[0].get_array() for axes in figure.axes]


def test_a_dim_image_stays_dim():
    """Nothing is stretched to its own range on the way into a figure."""
    dim = np.full((2, 4, 4, 3), 100, np.uint8)
    dim[0, 0, 0] = 101
    for figure in (image_grid(dim), stages([("a", dim)])):
        shown = drawn(figure)[0]
        assert shown.dtype == np.uint8 and shown.min() == 100
        assert sorted(set(shown.flatten().tolist())) == [100, 101, 255]


def test_stages_have_a_row_and_a_label_each():
    figure = stages([("training images", colours(3)), ("iteration 7", colours(3))])
    assert [axes.texts[0].get_text() for axes in figure.axes] == ["training images", "iteration 7"]


def test_the_latent_grids_axes_are_labelled_with_the_coordinates():
    figure = latent_grid(colours(16), np.linspace(-2, 2, 4), ("z1", "z2"))
    axes = figure.axes[0]
    assert [t.get_text() for t in axes.get_xticklabels()] == ["-2.00", "-0.67", "0.67", "2.00"]
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("z1", "z2")


def test_curves_carry_their_own_values_and_marks():
    lines = {"a": ([1, 2, 3], [3, 2, 1]), "b": ([5, 9], [1, 4])}
    axes = curves(lines, "loss", "log", {"goal": 1.5}).axes[0]
    assert [line.get_xydata().tolist() for line in axes.lines[:2]] == [
        [[1, 3], [2, 2], [3, 1]],
        [[5, 1], [9, 4]],
    ]
    assert axes.lines[2].get_ydata()[0] == 1.5
    assert axes.get_yscale() == "log" and axes.get_ylabel() == "loss"
    assert [text.get_text() for text in axes.get_legend().texts] == ["a", "b", "goal"]


def test_as_many_curves_as_are_allowed_look_different_and_are_all_named():
    lines = {f"run {k}": ([0, 1], [k, k]) for k in range(LINES)}
    figure = curves(lines, "loss")
    looks = {(line.get_color(), line.get_linestyle()) for line in figure.axes[0].lines}
    assert len(looks) == LINES
    assert [text.get_text() for text in figure.legends[0].texts] == list(lines)


def test_panels_show_each_images_chains_on_one_scale():
    values = np.arange(2 * 4 * 3.0).reshape(2, 4, 3)
    figure = panels(values, "image", "log-density")
    shown = [axes for axes in figure.axes if axes.get_visible()]
    assert [axes.get_title(loc="left") for axes in shown] == ["image 1", "image 2", "image 3"]
    for number, axes in enumerate(shown):
        lines = [line.get_ydata() for line in axes.lines]
        np.testing.assert_array_equal(np.stack(lines, 1), values[:, :, number])
    assert len({axes.get_ylim() for axes in shown}) == 1


def test_words_in_figures_are_large_enough_for_a_phone():
    """A figure 5.6 inches wide is shown 328 pixels wide: 10 points are 8 pixels there."""
    figure = curves({"a": ([0, 1], [0, 1]), "b": ([0, 1], [1, 2])}, "loss")
    axes = figure.axes[0]
    words = [axes.xaxis.label, axes.yaxis.label, *axes.get_xticklabels(), *axes.get_legend().texts]
    assert min(word.get_fontsize() * 328 / figure.get_figwidth() / 72 for word in words) >= 8


def test_the_latent_plane_holds_every_latent():
    points = np.array([[0.0, 0.0], [5.0, -4.0], [1.0, 1.0]])
    axes = latent_plane(points, colours(2), ("z1", "z2")).axes[0]
    assert axes.get_xlim()[1] > 5 and axes.get_ylim()[0] < -4
    assert len(axes.artists) == 2
    assert axes.collections[0].get_offsets().tolist() == points.tolist()
