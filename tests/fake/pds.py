"""A tiny folder of unlabelled images in the PDS naming."""

from pathlib import Path

from tests.fake.msl import product_name, write_image

OLD_SOL, NEW_SOL = 40, 1500


def make_pds(folder: Path, *, count: int = 6) -> list[str]:
    """Write ``count`` images, half of sol 40 and half of sol 1500, the first of them greyscale, into two subfolders.

    Returns:
        Their names, sorted.
    """
    names = []
    for number in range(count):
        sol = NEW_SOL if number % 2 else OLD_SOL
        product_type = "D" if number == 0 else "C"
        name = product_name(sol, 500 + number, ("ML", "MH")[number % 2], product_type)
        name = name if number % 3 else name.replace(".JPG", ".jpg")
        place = folder / f"{sol:04d}"
        place.mkdir(parents=True, exist_ok=True)
        write_image(place / name, number, gray=product_type == "D")
        names.append(name)
    return sorted(names)
