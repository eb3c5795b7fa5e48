"""Attributes of classes from descriptions (ExCEL, CVPR 2025, TSE).

Sentences about the appearance of each class are encoded by CLIP's text tower;
k-means over all of them finds attributes, which classes may share.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from mmseg_weakclip.common.files import write_atomically
from mmseg_weakclip.models.clip.text_tower import TextTower, encode_prompts
from mmseg_weakclip.models.clip.tokenizer import Tokenizer

SHIPPED = Path(__file__).with_name('descriptions')
FORMAT = 'mmseg_weakclip attribute bank 1'


@dataclass(frozen=True)
class AttributeBank:
    """Attributes and their origin.

    Attributes:
        centres: A attributes, means of unit embeddings, (A, E).
        members: Number of sentences of class k in attribute a, (K, A).
        note: ``model``, ``pretrained`` and ``fingerprint`` of the CLIP,
            ``prefix``, ``seed``, ``classes`` (JSON) and ``descriptions``
            (SHA-256 of the JSON file).
    """

    centres: Tensor
    members: Tensor
    note: dict[str, str]

    def save(self, path: str | Path) -> None:
        """Write a safetensors file atomically."""
        tensors = dict(
            centres=self.centres.contiguous(),
            members=self.members.contiguous(),
        )
        metadata = dict(self.note, format=FORMAT)
        write_atomically(path, save(tensors, metadata))

    @classmethod
    def load(cls, path: str | Path) -> 'AttributeBank':
        """Read a file that :meth:`save` wrote.

        Args:
            path: File of the bank.

        Raises:
            FileNotFoundError: There is no such file.
            ValueError: The file is not an attribute bank.
        """
        if not Path(path).is_file():
            raise FileNotFoundError(
                f'the attribute bank {path} does not exist: '
                'make it with tools/build_attribute_bank.py'
            )
        try:
            with safe_open(path, 'pt') as file:
                note = file.metadata() or {}
                if note.pop('format', None) == FORMAT:
                    names = ('centres', 'members')
                    return cls(*map(file.get_tensor, names), note)
        except SafetensorError as error:
            raise ValueError(f'{path} is damaged: {error}') from error
        raise ValueError(
            f'{path} is not an attribute bank (format {FORMAT!r}): '
            'tools/build_attribute_bank.py makes one'
        )

    def check_model(self, fingerprint: int, model: str) -> None:
        """Check that this bank was made with the text tower in use.

        Args:
            fingerprint: Fingerprint of the text tower in use.
            model: Name of its model, for the message.

        Raises:
            ValueError: The bank was made with another text tower.
        """
        if int(self.note['fingerprint']) != fingerprint:
            raise ValueError(
                'the attribute bank was made with the text tower of '
                f'{self.note["model"]} ({self.note["pretrained"]}), '
                f'fingerprint {int(self.note["fingerprint"]):#010x}; in use '
                f'is {model}, {fingerprint:#010x}: build a bank for it with '
                'tools/build_attribute_bank.py'
            )


def read_descriptions(
    path: str | Path, classes: Sequence[str] | None = None
) -> dict[str, list[str]]:
    """Read sentences for each class.

    Args:
        path: File of a JSON object, class name to list of sentences; or the
            name of a shipped one: ``'voc'``, ``'coco'``, ``'toyland'``.
        classes: Names of the classes to return, in this order; None takes
            all of the file.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: The file has another format, a class is missing or has
            no sentence, or a sentence is empty.
    """
    file = find_descriptions(path)
    try:
        content = json.loads(file.read_text(encoding='utf-8'))
    except ValueError as error:
        raise ValueError(f'{file} is not JSON: {error}') from error
    if not isinstance(content, dict):
        raise ValueError(f'{file} must map class names to lists of sentences')
    names = list(content) if classes is None else list(classes)
    if missing := [name for name in names if name not in content]:
        raise ValueError(
            f'{file} does not describe {", ".join(map(repr, missing))}; it '
            f'has {", ".join(content)}'
        )
    for name in names:
        sentences = content[name]
        if not isinstance(sentences, list) or not sentences:
            raise ValueError(
                f'{file}: {name!r} needs a list of one or more sentences, '
                f'not {sentences!r}'
            )
        for sentence in sentences:
            if not isinstance(sentence, str) or not sentence.strip():
                raise ValueError(
                    f'{file}: {name!r} has an invalid sentence: {sentence!r}'
                )
    return {name: content[name] for name in names}


def find_descriptions(path: str | Path) -> Path:
    """Return the file of a path or of the name of shipped descriptions."""
    shipped = SHIPPED / f'{path}.json'
    if not Path(path).suffix and shipped.is_file():
        return shipped
    if not Path(path).is_file():
        known = sorted(file.stem for file in SHIPPED.glob('*.json'))
        raise FileNotFoundError(
            f'the descriptions {path} do not exist: give a JSON file or one '
            f'of {known}'
        )
    return Path(path)


def hash_descriptions(path: str | Path) -> str:
    """Return the SHA-256 digest of a file of descriptions."""
    return hashlib.sha256(find_descriptions(path).read_bytes()).hexdigest()


def encode_descriptions(
    tower: TextTower,
    tokenizer: Tokenizer,
    descriptions: Mapping[str, Sequence[str]],
    prefix: str = 'a clean origami {}.',
) -> Tensor:
    """Return unit embeddings of all sentences, class by class.

    Args:
        tower: CLIP's text tower.
        tokenizer: Tokenizer of the tower.
        descriptions: Sentences by class name.
        prefix: Text before each sentence, with ``{}`` for the class name, as
            in ExCEL; ``''`` for none. With a prefix, no
            cluster of the published data has sentences of two classes.

    Returns:
        (number of sentences, E).

    Raises:
        ValueError: A sentence does not fit into the context.
    """
    texts = []
    room = tokenizer.room(tower.context_length)
    for name, sentences in descriptions.items():
        own = [
            f'{prefix.format(name)} {sentence}'.strip().lower()
            for sentence in sentences
        ]
        try:
            tokenizer(own, room)
        except ValueError as error:
            raise ValueError(f'descriptions of {name!r}: {error}') from error
        texts += own
    ids, ends = tokenizer(texts, room)
    device = next(tower.parameters()).device
    with torch.no_grad():
        embeddings = encode_prompts(
            tower, tokenizer.start, ids.to(device), ends.to(device)
        )
    return F.normalize(embeddings.float(), dim=-1).cpu()


def cluster_attributes(
    embeddings: Tensor, owners: Tensor, count: int, seed: int = 0
) -> tuple[Tensor, Tensor]:
    """Cluster sentences of all classes by k-means.

    As in ExCEL, it is scikit-learn's, from ten starts, and centres are not
    normalised again.

    Args:
        embeddings: Unit embeddings of the sentences, (S, E).
        owners: Class of each sentence, 0 to K - 1, (S,).
        count: Number A of attributes: ExCEL has 112 for VOC, 224 for COCO.
        seed: Random seed of the starts.

    Returns:
        Centres (A, E), and the number of sentences of each class that are
        nearest to each, (K, A), int64.

    Raises:
        ValueError: There are fewer sentences than attributes.
        ImportError: scikit-learn is missing.
    """
    if not 0 < count <= len(embeddings):
        raise ValueError(
            f'{count} attributes cannot be made of {len(embeddings)} sentences'
        )
    require_clustering()
    from sklearn.cluster import KMeans

    found = KMeans(count, n_init=10, random_state=seed).fit(embeddings.numpy())
    nearest = torch.from_numpy(found.labels_).long()
    members = torch.zeros(int(owners.max()) + 1, count, dtype=torch.long)
    members.index_put_((owners, nearest), torch.tensor(1), accumulate=True)
    return torch.from_numpy(found.cluster_centers_).float(), members


def require_clustering() -> None:
    """Check that banks can be built, before any weights are loaded.

    Raises:
        ImportError: scikit-learn is missing.
    """
    if find_spec('sklearn') is None:
        raise ImportError(
            'attribute banks need scikit-learn: pip install '
            '"mmseg_weakclip[excel]"'
        )
