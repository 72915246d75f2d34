"""Codebooks and codes as values: encode, decode, cut, look up, save and load."""

from anybit.codes.byte_planes import BytePlanes
from anybit.codes.codebooks import Codebooks
from anybit.codes.codes import Codes, bits_per_level, levels_of_bits
from anybit.codes.folder import (
    ModelFolder,
    check_writable,
    codebooks_of,
    read_model_folder,
    write_model_folder,
)
from anybit.codes.tensors import replace_file

__all__ = [
    "BytePlanes",
    "Codebooks",
    "Codes",
    "ModelFolder",
    "bits_per_level",
    "check_writable",
    "codebooks_of",
    "levels_of_bits",
    "read_model_folder",
    "replace_file",
    "write_model_folder",
]
