"""Members of a zip archive from an unknown source, checked before reading.

PyTorch's archives store tensors uncompressed and compress source code only.
Archives that claim more bytes than they can hold are refused, and every
member that is read is compared with its checksum.
"""

import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from zipfile import ZipInfo

ZIP_MAGIC = b'PK\x03\x04'
# Limits of what one archive may hold: number of members, and bytes that
# compressed members expand to, beyond a multiple of the file's size.
MAX_MEMBERS = 200_000
MAX_EXPANDED = 1 << 28
MAX_RATIO = 4
ENCRYPTED = 1
CHUNK = 1 << 20


class Members:
    """Members of an open archive by their names below its top folder.

    Args:
        archive: Open archive.
        size: Size of its file in bytes.

    Raises:
        ValueError: The archive holds less than it claims, is encrypted, or
            names a member twice.
    """

    def __init__(self, archive: zipfile.ZipFile, size: int) -> None:
        self._archive = archive
        self.size = size
        self._infos: dict[str, ZipInfo] = {}
        infos = archive.infolist()
        if len(infos) > MAX_MEMBERS:
            raise ValueError(f'it claims {len(infos)} members')
        _check_sizes(infos, size)
        for info in infos:
            top, slash, rest = info.filename.partition('/')
            name = rest if slash else top
            if name in self._infos:
                raise ValueError(f'it holds {name!r} twice')
            self._infos[name] = info

    def __contains__(self, name: str) -> bool:
        return name in self._infos

    def __iter__(self) -> Iterator[str]:
        return iter(self._infos)

    def read(self, name: str) -> bytes:
        """Return the content of a member.

        Raises:
            ValueError: There is no such member, or it is damaged.
        """
        if name not in self._infos:
            raise ValueError(f'it lacks the member {name!r}')
        try:
            return self._archive.read(self._infos[name])
        except Exception as error:  # zlib, struct and zipfile have their own
            raise _damaged(name, error) from error

    def verify(self) -> None:
        """Compare every member with its checksum.

        Raises:
            ValueError: A member is damaged.
        """
        for name, info in self._infos.items():
            try:
                with self._archive.open(info) as member:
                    while member.read(CHUNK):
                        pass
            except Exception as error:  # as above
                raise _damaged(name, error) from error


@contextmanager
def open_members(path: Path) -> Iterator[Members]:
    """Open an archive.

    Args:
        path: Zip archive.

    Raises:
        ValueError: It is damaged, or claims more than it can hold.
    """
    try:
        archive = zipfile.ZipFile(path)
    except Exception as error:  # NotImplementedError, struct.error, ...
        raise ValueError(
            'it is a zip archive that is cut off or damaged; download it again'
        ) from error
    with archive:
        yield Members(archive, path.stat().st_size)


def _check_sizes(infos: list[ZipInfo], size: int) -> None:
    expanded = 0
    for info in infos:
        if info.flag_bits & ENCRYPTED:
            raise ValueError('it is an encrypted zip archive')
        if info.compress_type == zipfile.ZIP_DEFLATED:
            expanded += info.file_size
        elif info.compress_type != zipfile.ZIP_STORED:
            raise ValueError(
                f'it compresses {info.filename!r} as no PyTorch does'
            )
        elif info.file_size != info.compress_size:
            raise ValueError(f'it has two sizes for {info.filename!r}')
    claimed = sum(info.compress_size for info in infos)
    if claimed > size or expanded > MAX_EXPANDED + MAX_RATIO * size:
        raise ValueError(
            f'it claims {max(claimed, expanded):,} bytes of content in a file '
            f'of {size:,} bytes'
        )


def _damaged(name: str, error: Exception) -> ValueError:
    return ValueError(
        f'its member {name!r} is damaged ({type(error).__name__}); download '
        'it again'
    )
