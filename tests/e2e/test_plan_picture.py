"""A planned dataset is explained and drawn beside its plans."""

import pytest

from nnmtl.cli.plan_experiment import main
from nnmtl.experiments import plan_picture

pytestmark = pytest.mark.e2e


def test_the_plan_is_drawn_over_a_case_of_each_center(workspace, capsys):
    plans = (workspace.preprocessed / f"{workspace.plans}.json").read_bytes()
    assert main(["-d", workspace.name, "--preset", "tiny_cpu", "--explain"]) == 0
    picture = workspace.preprocessed / f"{workspace.plans}.png"
    assert capsys.readouterr().out.splitlines()[-1] == str(picture)
    assert picture.read_bytes().startswith(b"\x89PNG")
    assert (workspace.preprocessed / f"{workspace.plans}.json").read_bytes() == plans


def test_each_center_is_drawn_with_the_grid_that_the_policy_gives_it(
    workspace, monkeypatch, capsys
):
    drawn, draw = {}, plan_picture.draw_plan

    def spied(images, **options):
        drawn.update({each.view.center: each.view.spacing_mm for each in images})
        return draw(images, **options)

    monkeypatch.setattr(plan_picture, "draw_plan", spied)
    asked = ["-d", workspace.name, "--preset", "tiny_cpu", "--memory-gb", "2"]
    for policy in ("pooled", "per_center"):
        options = [*asked, "--spacing_policy", policy]
        assert main(options) == 0
        assert main([*options, "--explain"]) == 0
        is_own = policy == "per_center"
        assert (drawn["A"] != drawn["B"]) == is_own
        assert ("has these configurations" in capsys.readouterr().out) == is_own
    main([*asked, "--spacing_policy", "per_center", "--device", "cpu", "--explain"])
    assert "memory of 2 GB" in capsys.readouterr().out
