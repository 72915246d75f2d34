"""How many bits are enough: quality, size and search time of every prefix of some codes."""

from anybit.advice.advise import AdviceInput, AdviceOptions, advise
from anybit.advice.plot import write_advice
from anybit.advice.result import Advice, LengthAdvice

__all__ = ["Advice", "AdviceInput", "AdviceOptions", "LengthAdvice", "advise", "write_advice"]
