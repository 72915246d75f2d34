"""Codebooks and codes as values: encode, decode, cut, look up, save and load."""

from anybit.codes.assignment import closest, is_cancelled
from anybit.codes.beam import Beam, BeamRule, CodewordTables, beam_encode, rows_of_a_block
from anybit.codes.byte_planes import BytePlanes, levels_per_byte
from anybit.codes.codebooks import Codebooks
from anybit.codes.codes import MOST_LEVELS, Codes, bits_per_level, levels_of_bits
from anybit.codes.encoding import LARGEST_LENGTH
from anybit.codes.feature_map import FeatureMap
from anybit.codes.folder import (
    ModelFolder,
    check_writable,
    codebooks_of,
    feature_map_of,
    read_model_folder,
    write_model_folder,
)
from anybit.codes.product_codebooks import ProductCodebooks, SignCodebooks
from anybit.codes.sequential_codebooks import SharedCodebooks, StackedCodebooks
from anybit.codes.shared_encoding import SharedEncoder
from anybit.codes.system_errors import access_error, panics_as_errors, write_errors
from anybit.codes.tensors import replace_file

__all__ = [
    "LARGEST_LENGTH",
    "MOST_LEVELS",
    "Beam",
    "BeamRule",
    "BytePlanes",
    "Codebooks",
    "Codes",
    "CodewordTables",
    "FeatureMap",
    "ModelFolder",
    "ProductCodebooks",
    "SharedCodebooks",
    "SharedEncoder",
    "SignCodebooks",
    "StackedCodebooks",
    "access_error",
    "beam_encode",
    "bits_per_level",
    "check_writable",
    "closest",
    "codebooks_of",
    "feature_map_of",
    "is_cancelled",
    "levels_of_bits",
    "levels_per_byte",
    "panics_as_errors",
    "read_model_folder",
    "replace_file",
    "rows_of_a_block",
    "write_errors",
    "write_model_folder",
]
