"""tools/demo.py on videos that OpenCV writes here."""

import re
import resource

import cv2
import numpy as np
import pytest
from PIL import Image

from mmseg_weakclip.apps.demo.images import segment_video
from mmseg_weakclip.apps.demo.inputs import Job
from mmseg_weakclip.apps.demo.video import Video, write_video

FPS = 12.5
HEIGHT, WIDTH, FRAMES = 96, 128, 12


@pytest.fixture(scope='session')
def scenes(world):
    """Frames of a film, BGR: a scene that moves to the right."""
    path = world / 'data/toyland/JPEGImages/val_00000.jpg'
    image = cv2.resize(cv2.imread(str(path)), (WIDTH, HEIGHT))
    return [np.roll(image, 8 * index, 1) for index in range(FRAMES)]


@pytest.fixture
def write(tmp_path):
    """Write frames as OpenCV does; returns the file."""

    def run(frames, name='film.avi', code='MJPG'):
        path = tmp_path / name
        size = frames[0].shape[1::-1]
        writer = cv2.VideoWriter(
            str(path), cv2.VideoWriter.fourcc(*code), FPS, size
        )
        assert writer.isOpened()
        for frame in frames:
            writer.write(frame)
        writer.release()
        return path

    return run


def read(path):
    video = Video(path)
    return video.fps, list(video.frames())


@pytest.mark.parametrize(
    ('every', 'batch_size', 'kind'),
    [(1, 1, ('film.MOV', 'mp4v')), (5, 2, ('film.avi', 'MJPG'))],
)
def test_video(
    run_demo,
    by_names,
    scenes,
    write,
    tmp_path,
    capsys,
    every,
    batch_size,
    kind,
):
    source = write(scenes, *kind)
    masks = tmp_path / 'masks'
    out = run_demo(
        source,
        *by_names,
        *('--background', 'water, road, grass, sky, sand, brick'),
        *('--every', every, '--batch-size', batch_size),
        *('--out-masks', masks),
    )
    captured = capsys.readouterr()
    assert f'film.mp4: {FRAMES} frames\n' in captured.out
    assert f'{FRAMES}/{FRAMES}' in captured.err
    assert re.search(r'\[\d+:\d+<', captured.err)
    fps, painted = read(out / 'film.mp4')
    assert fps == FPS
    assert len(painted) == FRAMES
    assert [p.name for p in out.iterdir()] == ['film.mp4']
    found = sorted((masks / 'film').iterdir())
    numbers = range(0, FRAMES, every)
    assert [path.name for path in found] == [f'{n:06d}.png' for n in numbers]
    for path in found:
        assert Image.open(path).size == (WIDTH, HEIGHT)


class Brightness:
    """Stands for a model: the class of all pixels is how bright they are."""

    classes = ('dark', 'grey', 'bright')
    palette = [[255, 0, 0], [0, 255, 0], [0, 0, 255]]

    def __init__(self):
        self.sizes = []

    def predict(self, images, paths):
        self.sizes.append(len(images))
        return [
            np.full(image.shape[:2], image.mean() // 50, np.uint8)
            for image in images
        ]

    def visible(self, mask):
        return mask


@pytest.mark.parametrize(
    ('batch_size', 'sizes'), [(1, [1, 1, 1]), (2, [2, 1]), (9, [3])]
)
def test_frames_between_take_the_last_mask(write, tmp_path, batch_size, sizes):
    levels = np.arange(FRAMES) * 10 + 5
    source = write([np.full((HEIGHT, WIDTH, 3), x, np.uint8) for x in levels])
    job = Job(source, tmp_path / 'out.mp4', None)
    model, done = Brightness(), []
    segment_video(
        model, Video(source), job, 5, batch_size, progress=done.append
    )
    assert model.sizes == sizes
    assert sum(done) == FRAMES
    _, frames = read(job.output)
    for index, frame in enumerate(frames):
        # Of frames 0, 5 and 10; the legend is elsewhere.
        color = np.array(model.palette[index // 5])[::-1]
        expected = 0.45 * levels[index] + 0.55 * color
        found = frame[HEIGHT // 2 :, WIDTH // 2 :].mean((0, 1))
        assert abs(found - expected).max() < 8, index


def test_batches_change_nothing(run_demo, by_names, scenes, write, tmp_path):
    """Frames keep their order and their masks, whatever the batch."""
    source = write(scenes[:7])
    masks = []
    for size in (1, 2, 16):
        folder = tmp_path / f'masks{size}'
        options = ('--every', 2, '--batch-size', size, '--out-masks', folder)
        run_demo(source, *by_names, *options)
        masks.append(
            np.stack(
                [Image.open(p) for p in sorted((folder / 'film').iterdir())]
            )
        )
    assert len(masks[0]) == 4
    for other in masks[1:]:
        assert (masks[0] == other).mean() > 0.999


def test_video_that_ends_early(
    run_demo, by_names, scenes, write, tmp_path, capsys
):
    rng = np.random.default_rng(0)
    noise = rng.integers(0, 256, (FRAMES, HEIGHT, WIDTH, 3), np.uint8)
    content = write(noise).read_bytes()
    path = tmp_path / 'cut.avi'
    path.write_bytes(content[: len(content) // 2])
    out = run_demo(path, *by_names)
    _, frames = read(out / 'cut.mp4')
    assert 0 < len(frames) < FRAMES
    said = f'{len(frames)} frames of {FRAMES} stated: {path} ends early'
    assert said in capsys.readouterr().out


def test_no_video(refused_demo, by_names, write, scenes, tmp_path):
    path = tmp_path / 'none.mp4'
    path.write_bytes(b'none' * 1000)
    line = refused_demo(path, *by_names)
    assert 'none.mp4 cannot be opened as a video' in line
    # A whole header, and not one frame.
    content = write(scenes).read_bytes()
    path = tmp_path / 'bare.avi'
    path.write_bytes(content[: content.index(b'movi') + 4])
    line = refused_demo(path, *by_names)
    assert 'bare.avi' in line
    # Nothing of it is left.
    assert not list((tmp_path / 'out').iterdir())


def test_two_videos_of_one_stem(refused_demo, by_names, scenes, write):
    paths = write(scenes), write(scenes, 'film.mov', 'mp4v')
    assert 'would share' in refused_demo(*paths, *by_names)


def test_odd_sides_lose_a_row(tmp_path):
    path = tmp_path / 'odd.mp4'
    with write_video(path, 29.97) as write_frame:
        write_frame(np.full((51, 35, 3), 90, np.uint8))
    fps, (frame,) = read(path)
    assert fps == pytest.approx(29.97)
    assert frame.shape == (50, 34, 3)


def test_full_disk(tmp_path):
    """OpenCV says nothing when a file can't grow."""
    rng = np.random.default_rng(0)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    path = tmp_path / 'film.mp4'

    def film():
        with write_video(path, FPS) as write_frame:
            for _ in range(20):
                write_frame(rng.integers(0, 256, (96, 96, 3), np.uint8))

    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, limits[1]))
        with pytest.raises(OSError, match=r'film.mp4 could not be .* full\?'):
            film()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert not list(tmp_path.iterdir())
    film()
    assert len(read(path)[1]) == 20


def test_interrupted_writing_leaves_nothing(tmp_path):
    def interrupted():
        with write_video(tmp_path / 'film.mp4', FPS) as write_frame:
            write_frame(np.zeros((32, 32, 3), np.uint8))
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert not list(tmp_path.iterdir())
