"""Where files lie: a folder of this machine, or a prefix of an object store."""

from anybit.store.folders.base import Checksum, Folder, Hold
from anybit.store.folders.local import REMOVED_PREFIX, LocalFolder
from anybit.store.folders.open_folder import open_folder

__all__ = ["REMOVED_PREFIX", "Checksum", "Folder", "Hold", "LocalFolder", "open_folder"]
