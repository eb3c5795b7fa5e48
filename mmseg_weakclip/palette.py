"""The colours of a class id."""


def label_colors(count: int) -> list[list[int]]:
    """The colour map of PASCAL VOC, for as many classes as asked.

    Bit k of the id, three bits at a time, becomes bit 7 - k of red, green
    and blue, so that ids that differ little get colours that differ much.

    Args:
        count: Number of classes; up to 2 ** 24 their colours differ.

    Returns:
        RGB triples (0..255); id 0 is black.
    """
    colors = []
    for class_id in range(count):
        rgb = [0, 0, 0]
        for bit in range(8):
            for channel in range(3):
                on = class_id >> (3 * bit + channel) & 1
                rgb[channel] |= on << (7 - bit)
        colors.append(rgb)
    return colors
