"""What a job may do, said twice: as a small model that can be searched to its last state, and by the package itself.

``job`` is the model, ``search`` walks through all that can happen to it, ``bench`` does the same moves with the real
functions and a clock that the test turns. An arrow that the package learns is one more move in ``job`` and one more
method of the same name in ``bench``.
"""

import pytest

# So that what fails in here is shown as it is in a test.
pytest.register_assert_rewrite("tests.model.bench")
