"""Mutation testing: each condition of the stores and of the runner's journal is removed, and a test must find out.

mutmut and cosmic-ray do not fit: they know neither the conjuncts of a DynamoDB condition nor histories as the second
finder, and they keep results by function or session instead of by the hashes of the code and the tests that judged.
"""
