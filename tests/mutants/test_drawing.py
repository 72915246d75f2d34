"""The draw depends on seed and source alone."""

from __future__ import annotations

from mutants.drawing import draw


def drawn(toy, n_mutants=4, seed=1):
    return [mutant.identity for mutant in draw(toy, n_mutants, seed)]


def test_a_seed_draws_the_same_again_and_another_seed_does_not(toy):
    first = drawn(toy)
    assert len(first) == 4
    assert drawn(toy) == first
    assert any(drawn(toy, seed=seed) != first for seed in range(2, 5))


def test_a_smaller_draw_is_part_of_a_larger_one(toy):
    assert set(drawn(toy, 2)) < set(drawn(toy, 4))


def test_a_draw_of_all_has_one_mutant_a_statement(toy):
    found = draw(toy, 100, 1)
    assert [one.line for one in found] == [3, 6, 8, 10, 11, 12, 17]
    assert {one.room for one in found} == {"sums"}


def test_an_edit_changes_the_mutants_of_its_statement_only(toy, write):
    before = drawn(toy, 100)
    text = (toy.root / "src/toy/sums/totals.py").read_text()
    write("src/toy/sums/totals.py", text.replace("number + 1", "number + 2"))
    after = drawn(toy, 100)
    assert before[:-1] == after[:-1]
    assert before[-1] != after[-1]


def test_a_mutant_is_the_whole_file_with_one_change(toy):
    original = (toy.root / "src/toy/sums/totals.py").read_text()
    for mutant in draw(toy, 100, 1):
        changed = mutant.text.splitlines()
        lines = original.splitlines()
        assert lines[mutant.line - 1].strip() == mutant.before
        assert changed[mutant.line - 1].strip() == mutant.after
        assert changed[: mutant.line - 1] == lines[: mutant.line - 1]
        assert changed[mutant.line :] == lines[mutant.line :]


def test_none_is_the_last_resort(toy, write):
    write("src/toy/sums/totals.py", "a = b\nc = 1\nd = f(g, h)\n")
    for seed in range(6):
        found = [mutant.after for mutant in draw(toy, 100, seed)]
        assert found[:2] == ["a = None", "c = 2"]
        assert found[2] in ("d = f(g, )", "d = f(h)")


def test_what_is_no_program_is_not_drawn(toy, write):
    write("src/toy/sums/totals.py", "for a in b:\n    break\n    a = c\n")
    assert [mutant.after for mutant in draw(toy, 100, 1)] == ["a = None"]
