"""Other people's engines as players: the real programs, and programs that misbehave."""

import jax
import numpy as np
import pytest
from engine_lines import program

from azero.answers import GIVEN_UP
from azero.engines.dialects import find_dialect
from azero.engines.gtp import GtpEngine
from azero.engines.uci import Limits, UciEngine
from azero.match import play_match
from azero.players import make_player
from azero.thinking import Mind, Playthrough
from games import make
from games.notation import jitted

FAIRY = {"chess": "chess", "gardner_chess": "gardner", "animal_shogi": "dobutsu", "shogi": "shogi"}
GNU_GO = "gnugo --mode gtp --level 1 --chinese-rules --positional-superko --capture-all-dead"


def random_game(game, seed, plies, without=()):
    """States and actions of a random game, step by step, until it ends or has `plies` moves."""
    chance = np.random.default_rng(seed)
    state = jax.device_get(jitted(game.init)(jax.random.key(0)))
    for _ in range(plies):
        if state.terminal:
            return
        legal = [action for action in np.flatnonzero(state.legal).tolist() if action not in without]
        if not legal:
            return
        action = int(chance.choice(legal))
        yield state, action
        state = jax.device_get(jitted(game.step)(state, np.int32(action), jax.random.key(0)))


@pytest.mark.parametrize("name", FAIRY)
def test_legal_moves_are_fairy_stockfishs(name):
    game = make(name)
    dialect = find_dialect("uci", game)
    engine = UciEngine([program("fairy-stockfish")])
    engine.set({"UCI_Variant": FAIRY[name]}, Limits())
    checked = 0
    for seed in range(3):
        moves = []
        for ply, (state, action) in enumerate(random_game(game, seed, 150)):
            if ply % 3 == seed:
                ours = {dialect.write(state, one) for one in np.flatnonzero(state.legal).tolist()}
                theirs = set(engine.legal_moves(moves))
                assert ours <= theirs, (seed, moves)
                for more in theirs - ours:
                    known = {"animal_shogi": f"{more}+" in ours, "shogi": more.startswith("P@")}
                    assert known.get(name), (seed, moves, more)
                assert all(dialect.read(state, dialect.write(state, one)) == one for one in np.flatnonzero(state.legal))
                checked += 1
            moves.append(dialect.write(state, action))
    assert checked > 20
    engine.end()


def test_a_chick_on_the_last_rank_is_read_as_promoted():
    game = make("animal_shogi")
    dialect = find_dialect("uci", game)
    for state, _ in (one for seed in range(10) for one in random_game(game, seed, 60)):
        texts = {dialect.write(state, one): one for one in np.flatnonzero(state.legal).tolist()}
        for text in texts:
            if text.endswith("+"):
                assert dialect.read(state, text[:-1]) == texts[text]
                return
    raise AssertionError("no chick got to the last rank")


def test_legal_moves_are_gnu_gos():
    game = make("go_9x9")
    dialect = find_dialect("gtp", game)
    engine = GtpEngine([program("gnugo"), *GNU_GO.split()[1:]], dialect.setup, 1)
    assert engine.command("get_komi") == "7.5"
    colours = ("black", "white")
    captured = 0
    for ply, (state, action) in enumerate(random_game(game, 1, 140, without=(81,))):
        if ply % 5 == 0:
            ours = {dialect.write(state, one) for one in np.flatnonzero(state.legal).tolist()} - {"pass"}
            theirs = set(engine.command(f"all_legal {colours[ply % 2]}").lower().split())
            assert theirs <= ours, ply
            for text in ours - theirs:  # a whole board comes again: the move is there, and loses
                after = jitted(game.step)(state, np.int32(dialect.read(state, text)), jax.random.key(0))
                assert after.terminal, (ply, text)
                assert after.reward == -1, (ply, text)
        captured = int(engine.command("captures black"))
        engine.command(f"play {colours[ply % 2]} {dialect.write(state, action)}")
    assert captured > 0
    engine.end()


def test_the_board_is_gtp_rhinos():
    game = make("othello")
    dialect = find_dialect("gtp", game)
    engine = GtpEngine([program("gtp-rhino"), "-l", "1"], dialect.setup, 1)
    engine.told = ["something else"]
    moves, passes = [], 0
    for ply, (state, action) in enumerate(random_game(game, 32, 119)):
        board = [line.split() for line in engine.command("showboard").splitlines()]
        theirs = [row[1:9] for row in board if row and row[0].isdigit()]
        ours = [row.split()[1:9] for row in game.notation.board(state).splitlines()[:8]]
        assert [[cell.lower() for cell in row] for row in theirs] == ours, moves
        text = dialect.write(state, action)
        moves.append(text)
        passes += text is None
        if text is None:
            assert dialect.forced(state) == action
        else:
            engine.command(f"play {('black', 'white')[ply % 2]} {text}")
    assert passes > 0
    engine.end()


def test_a_match_against_gtp_rhino():
    program("gtp-rhino")
    rhino, game = make_player("gtp:gtp-rhino -l 1", "othello")
    chance, _ = make_player("random", "othello")
    ended = []
    result = play_match(game, rhino, chance, 4, opening_plies=4, seed=1, record=ended.append)
    assert result.wins >= 3
    assert result.gave_up == (0, 0), [one.given_up for one in ended]
    assert all(len(one.moves) > 20 for one in ended)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("go_9x9", f"gtp:{GNU_GO}"),
        ("chess", "uci[nodes=300,Skill Level=20]:stockfish"),
        ("gardner_chess", "uci[nodes=300]:fairy-stockfish"),
        ("animal_shogi", "uci[depth=3]:fairy-stockfish"),
        ("shogi", "uci[seconds=0.1,depth=3]:fairy-stockfish"),
    ],
)
@pytest.mark.parametrize("seat", [0, 1])
def test_engines_beat_chance(name, text, seat):
    program(text.partition(":")[2].split()[0])
    engine, game = make_player(text, name)
    played = Playthrough(game, seat)
    mind = Mind(engine, played)
    chance = np.random.default_rng(seat)
    while not played.over and len(played.actions) < 160:
        if played.to_play == seat:
            answer = mind.answer()
            action = int(answer.action[0])
            assert action != GIVEN_UP, (answer.reasons, played.moves())
            assert answer.policy[0, action] == 1
        else:
            legal = np.flatnonzero(np.asarray(played.state.legal))
            action = int(chance.choice(legal[:-1] if name == "go_9x9" and len(legal) > 1 else legal))
        played.move(action)
    assert played.over
    assert played.points(seat) == 1


def test_a_repeated_position_of_shogi_is_still_answered():
    program("fairy-stockfish")
    engine, game = make_player("uci[depth=2]:fairy-stockfish", "shogi")
    played = Playthrough(game)
    for text in 5 * ["2h3h", "8b7b", "3h2h", "7b8b"]:
        played.move(game.notation.action(played.state, text))
    assert not played.over
    assert Mind(engine, played).answer().action[0] != GIVEN_UP
