"""Resource policies: who else may use a function. Evaluation is in `model/policy.py`."""
