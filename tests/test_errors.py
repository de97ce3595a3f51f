"""Errors cross process borders."""

import inspect
import pickle

import pytest

from nasbench import errors

CLASSES = [c for _, c in inspect.getmembers(errors, inspect.isclass) if issubclass(c, Exception)]


@pytest.mark.parametrize("error", CLASSES, ids=lambda c: c.__name__)
def test_every_error_survives_pickle(error):
    copy = pickle.loads(pickle.dumps(error("space.yaml:3: wrong")))

    assert type(copy) is error and str(copy) == "space.yaml:3: wrong"


@pytest.mark.parametrize("error", CLASSES, ids=lambda c: c.__name__)
def test_every_error_is_drawn_in_the_tree_at_the_top_of_its_file(error):
    assert error.__name__ in (errors.__doc__ or "")
