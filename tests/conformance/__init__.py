"""Conversion cases, any dialect to any dialect: each case of the conformance list as a test, through a whole gateway.

``world`` is the stage (one gateway and one scripted vendor a session), ``equality`` holds the rules of comparison;
``test_f01.py`` … hold one family of cases each. Tests are named by the id of their case (``test_E045_…``); those named
``test_F03_…`` are further cases of the same family's rules.
"""
