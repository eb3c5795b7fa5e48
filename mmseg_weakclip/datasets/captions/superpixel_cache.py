"""Cache of superpixels on disk, one PNG per image."""

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, PngImagePlugin

from mmseg_weakclip.common.files import write_atomically

KEY = 'superpixels'
MAX_ID = np.iinfo(np.uint16).max


class SuperpixelCache:
    """Folder of 16-bit PNGs of ids, each with its parameters and image size.

    The file of an image is ``<folder>/<name of the image file>.png``, with
    the folders of the name, so that equal names in two folders differ.

    Args:
        folder: Path of the folder; the first write creates it.
        settings: Parameters of the superpixels, as JSON values.
    """

    def __init__(self, folder: str | Path, settings: dict[str, Any]) -> None:
        self.folder = Path(folder)
        self.settings = settings

    def path(self, name: str) -> Path:
        """Return the cache file of an image.

        Args:
            name: File of the image below the folder of the images.
        """
        return self.folder / f'{name}.png'

    def _note(self, image_size: tuple[int, int]) -> dict[str, Any]:
        return dict(self.settings, image_size=list(image_size))

    def read(
        self, name: str, image_size: tuple[int, int]
    ) -> np.ndarray | None:
        """Read the superpixels of an image.

        Args:
            name: File of the image below the folder of the images.
            image_size: H and W of the image.

        Returns:
            Ids, int32, in the size they were found in; None if the cache
            does not have them.

        Raises:
            ValueError: They were made with other parameters or from an image
                of another size, or the file is damaged or not of this cache.
        """
        found = self._open(name, image_size)
        if found is None:
            return None
        try:
            return np.asarray(found).astype(np.int32)
        except (OSError, SyntaxError, ValueError) as error:
            raise self._damaged(name) from error

    def has(self, name: str, image_size: tuple[int, int] | None) -> bool:
        """Return whether there are superpixels of an image.

        Only the header of the file is read.

        Args:
            name: File of the image below the folder of the images.
            image_size: H and W of the image; None leaves them unchecked.

        Raises:
            ValueError: See :meth:`read`.
        """
        return self._open(name, image_size) is not None

    def _open(
        self, name: str, image_size: tuple[int, int] | None
    ) -> Image.Image | None:
        path = self.path(name)
        try:
            content = path.read_bytes()
        except FileNotFoundError:
            return None
        try:
            image = Image.open(io.BytesIO(content))
            note = json.loads(image.info[KEY])
        except (OSError, SyntaxError, ValueError, KeyError) as error:
            raise self._damaged(name) from error
        wanted = self._note(image_size or tuple(note['image_size']))
        if note != wanted:
            wrong = [
                f'{key} {note.get(key)} instead of {value}'
                for key, value in wanted.items()
                if note.get(key) != value
            ]
            raise ValueError(
                f'The superpixels {path} were made with '
                f'{", ".join(wrong)}. Remove {self.folder}, or give another '
                'cache_dir.'
            )
        return image

    def _damaged(self, name: str) -> ValueError:
        return ValueError(
            f'{self.path(name)} is damaged, or no cache of superpixels; '
            'remove it.'
        )

    def write(
        self, name: str, image_size: tuple[int, int], ids: np.ndarray
    ) -> None:
        """Write superpixels; several processes may do so at once.

        Args:
            name: File of the image below the folder of the images.
            image_size: H and W of the image.
            ids: Ids of the superpixels, 0 to 65535, in any size.

        Raises:
            ValueError: There are too many superpixels for 16 bits.
        """
        if ids.max() > MAX_ID:
            raise ValueError(
                f'{name} has {ids.max() + 1} superpixels, more than 16 bits '
                'can count; raise min_size.'
            )
        note = PngImagePlugin.PngInfo()
        note.add_text(KEY, json.dumps(self._note(image_size)))
        buffer = io.BytesIO()
        Image.fromarray(ids.astype(np.uint16)).save(
            buffer, format='PNG', pnginfo=note
        )
        path = self.path(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, buffer.getvalue())
