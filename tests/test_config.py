"""The config and its presets."""

import dataclasses

import pytest

import games
from azero.checks import check
from azero.config import Config, SearchConfig, SelfPlayConfig, from_dict, to_dict
from azero.presets import LAPTOP, PRESETS, preset


@pytest.mark.parametrize("name", PRESETS)
def test_presets_are_sound_and_survive_json(name):
    config = PRESETS[name].config
    check(config)
    assert config.game == name
    assert from_dict(to_dict(config)) == config


def test_every_game_has_a_preset():
    assert set(PRESETS) == set(games.names())


@pytest.mark.parametrize("name", games.PGX_GAMES)
def test_one_preset_suits_every_board_on_a_cpu(name):
    config = preset(LAPTOP, name).config
    check(config)
    assert config.game == name
    assert config.network.dtype == "float32"


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({"serach": {}}, "unknown config field serach; did you mean search?"),
        ({"search": {"simulation": 3}}, "unknown config field search.simulation; did you mean search.simulations?"),
        ({"search": {"simulations": "many"}}, "search.simulations must be of type int, not 'many'"),
        ({"search": 3}, "search must be a group of fields"),
        ({"network": {"kind": "transformer"}}, "network.kind must be one of mlp, resnet"),
    ],
)
def test_wrong_fields_are_named(data, message):
    with pytest.raises(ValueError, match=message.replace("?", r"\?")):
        from_dict(data)


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("search.simulations", 0, "search.simulations must be above 0, not 0"),
        ("learn.batch", -4, "learn.batch must be above 0"),
        ("seed", -1, "seed must be 0 or more"),
        ("targets.value_lambda", 1.5, "targets.value_lambda must be between 0 and 1"),
        ("learn.ema", 1.0, "learn.ema must be below 1"),
        ("learn.learning_rate", float("nan"), "learn.learning_rate must be above 0"),
        ("selfplay.full_share", 0.0, "selfplay.full_share must be above 0, not 0.0"),
        ("selfplay.full_share", 1.1, "selfplay.full_share must be between 0 and 1, not 1.1"),
        ("selfplay.cheap_simulations", 0, "selfplay.cheap_simulations must be above 0, not 0"),
    ],
)
def test_values_that_mean_nothing_are_refused(path, value, message):
    group, _, name = path.rpartition(".")
    config = Config()
    if group:
        config = dataclasses.replace(config, **{group: dataclasses.replace(getattr(config, group), **{name: value})})
    else:
        config = dataclasses.replace(config, **{name: value})
    with pytest.raises(ValueError, match=message):
        check(config)


def test_a_cheap_search_is_cheaper_than_a_full_one():
    search, selfplay = SearchConfig(simulations=9), SelfPlayConfig(full_share=0.5, cheap_simulations=9)
    with pytest.raises(ValueError, match=r"^selfplay.cheap_simulations must be below search.simulations of 9 .*not 9$"):
        check(Config(search=search, selfplay=selfplay))
    check(Config(search=search, selfplay=dataclasses.replace(selfplay, cheap_simulations=8)))
    check(Config(search=search, selfplay=dataclasses.replace(selfplay, full_share=1.0)))


def test_the_target_follows_the_search():
    assert Config().distilled == "improved"
    assert Config(search=SearchConfig(algorithm="puct")).distilled == "visits"
    with pytest.raises(ValueError, match="PUCT has visits only"):
        check(from_dict({"search": {"algorithm": "puct"}, "distill": {"kind": "improved"}}))


def test_unknown_preset_suggests_a_near_one():
    with pytest.raises(ValueError, match="unknown preset 'conect_four'; did you mean connect_four"):
        preset("conect_four", "tic_tac_toe")
