"""`mien expressions`: the 135 words, what each does to a face, and libraries of labelled pictures."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from typer import Argument, Option

from mien.cli import options
from mien.cli.console import Told, progress_bar, table, tell
from mien.cli.everyday import all_meanings, bars, in_short, meaning_of
from mien.cli.pictures import check_places
from mien.errors import InputError, choice

if TYPE_CHECKING:
    from mien.expressions.labels import Label
    from mien.expressions.library import Library

app = options.group("The 135 words for a face, and libraries of labelled expression pictures.")
HOW = ("random", "typical", "nearest")
Cluster = Annotated[str | None, Option(help="Only words of this cluster or basic emotion.")]
Place = Annotated[
    Path, Argument(metavar="LIBRARY", help="The library: its folder, or its expressions.parquet.")
]


@app.command("list", short_help="Every word, by feeling.")
def list_words(
    cluster: Cluster = None,
    everyday: Annotated[bool, Option("--everyday")] = False,
    long: Annotated[bool, Option("--long")] = False,
) -> Told:
    """Every word with its emoji, by feeling; with --long or --cluster also what it does to a face.

    With --everyday: what else is understood (smile, wink left, tired, scared, :)), and what it means. Inflections
    (smiling, winked), left and right, and degrees (slightly, very) go with all of it.

    Args:
        everyday: What people say instead, and what it means.
        long: Of each its cluster and strongest blendshapes.
    """
    from mien.expressions.labels import labels

    if everyday:
        if cluster is not None:
            raise InputError("--cluster is for the 135 words: leave it out with --everyday.")
        return all_meanings()
    chosen = list(labels().values())
    if cluster is not None:
        _check_cluster(cluster)
        chosen = [label for label in chosen if cluster in (label.cluster, label.basic)]
    value = [_record(label) for label in chosen]
    if not long and cluster is None:
        return value, in_short(chosen)
    rows = [
        (label.word, " ".join(label.emoji), label.basic, label.cluster, _listed(_pairs(label)))
        for label in sorted(chosen, key=lambda label: (label.basic, label.cluster, label.word))
    ]
    heads = ("word", "emoji", "emotion", "cluster", "strongest blendshapes")
    more = "\nsmile, wink left, tired, scared and much more: mien expressions list --everyday"
    return value, [table(heads, rows, no_wrap=True), more]


@app.command(short_help="What a word does to a face, why, and what is like it.")
def show(
    word: Annotated[str, Argument(metavar="WORD")],
    output: Annotated[Path | None, Option("--output", "-o")] = None,
    overwrite: options.Overwrite = False,
) -> Told:
    """What a word does to a face, why, by which source, and which words are like it.

    Args:
        word: One of the 135, an emoji, or what people say.
        output: Also write its shipped face here (.png, .jpg, .webp).
    """
    from mien.expressions.labels import get, similar

    name = _word(word)
    if name == "neutral":
        raise InputError("neutral is a face at rest, without a prototype: show one of the 135 words.")
    if name is None:
        return meaning_of(word, output)
    from mien.expressions.faces import RENDERED, picture
    from mien.provenance import save_image

    label = get(name)
    like = similar(label.word)
    if output is not None:
        check_places([output], overwrite=overwrite)
        settings = {"rendered": "ICT-FaceKit head of nobody", "expression": label.word}
        save_image(picture(label.word), output, settings, RENDERED)
    lines = [
        f"{label.word}  {' '.join(label.emoji)}".rstrip(),
        f"  {label.basic} / {label.cluster}",
        f"  {label.why}",
        *(f"  source: {source}" for source in label.sources),
        "  action units: " + "  ".join(f"{unit} {value:g}" for unit, value in label.units.items()),
        *bars(_strongest(label)),
        "  like it: " + ", ".join(f"{other} {r:.2f}" for other, r in like),
        *([str(output)] if output else []),
    ]
    return {**_record(label), "similar": dict(like), "picture": str(output) if output else None}, lines


def _word(text: str) -> str | None:
    """The word of the 135, or "neutral", that `text` means; None where it means a mix or a face. Raises `InputError`:
    it means nothing."""
    from mien.expressions.everyday import find, near

    found = find(text)
    if found is None:
        raise InputError(
            f"{text!r} is not a word for an expression{near(text)}: `mien expressions list` and "
            "`mien expressions list --everyday` print all."
        )
    return next(iter(found.words)) if len(found.words) == 1 else None


@app.command(short_help="One picture with the face of every word.")
def sheet(
    output: Annotated[Path, Option("--output", "-o")] = Path("expressions.png"),
    cluster: Cluster = None,
    photo: Path | None = None,
    side: Annotated[int, Option(min=32, max=512)] = 256,
    overwrite: options.Overwrite = False,
) -> None:
    """One picture with one face making every word, grouped by feeling.

    mien expressions sheet --photo me.jpg -o me_all.png

    Args:
        output: The picture: .png, .jpg or .webp.
        photo: On this person's photo.  [default: one face of nobody, which is shipped]
        side: Pixels of a face.
    """
    check_places([output], [photo] if photo else [], overwrite)
    if cluster is not None:
        _check_cluster(cluster)
    from mien.making.shown import NOBODY, all_words
    from mien.provenance import PARTLY_GENERATED, save_image

    drawn = all_words(photo or NOBODY, side, cluster)
    save_image(drawn, output, {"kind": "expressions", "engine": "photo"}, PARTLY_GENERATED)
    print(output)


@app.command(short_help="Keep an expression under a name of your own.")
def save(
    name: Annotated[str, Argument(metavar="NAME")],
    expression: Annotated[str, Argument(metavar="EXPRESSION")],
    overwrite: Annotated[bool, Option("--overwrite")] = False,
) -> None:
    """Keep an expression under a name of your own, which then works wherever an expression is asked for.

    mien expressions save my-grin "joy:0.7+smug:0.3"

    Of a picture only the face's movement from its rest is kept, as blendshapes.

    Args:
        name: What to call it: letters, digits, hyphens.
        expression: Words, emoji, a mix, a picture, blendshapes, a file of them.
        overwrite: Also replace one of that name.
    """
    from mien.expressions import presets
    from mien.expressions.spec import parse

    presets.check_name(name)
    if not overwrite and name in presets.names():
        raise InputError(f"{name} is saved already: choose another name, or add --overwrite to replace it.")
    from mien.face.analyze import analyze
    from mien.making.subjects import Looker
    from mien.making.wishes import PhotoWish
    from mien.pipelines.photo_film import coefficients

    look = Looker(analyze, PhotoWish("portrait"), "face", tell)
    print(presets.save(name, coefficients(look.target(parse(expression)).expression)))


@app.command(short_help="The expressions saved under names of your own.")
def saved() -> Told:
    """The expressions saved under names of your own, and their strongest blendshapes."""
    from mien.expressions import presets

    found = {name: presets.find(name) for name in presets.names()}
    shapes = {name: dict(meaning.shapes) for name, meaning in found.items() if meaning is not None}
    strongest = {name: sorted(values.items(), key=lambda one: -one[1]) for name, values in shapes.items()}
    return shapes, [f"{name}  {_listed(values)}" for name, values in strongest.items()]


@app.command(short_help="Forget a saved expression.")
def remove(name: Annotated[str, Argument(metavar="NAME")]) -> None:
    """Forget a saved expression.

    Args:
        name: One that `saved` lists.
    """
    from mien.expressions import presets

    presets.remove(name)


@app.command(short_help="Index labelled pictures of your own.")
def build(
    place: Annotated[Path, Argument(metavar="PICTURES")],
    quiet: options.Quiet = False,
) -> Told:
    """Index labelled pictures into expressions.parquet beside them; run it again after adding some.

    Args:
        place: A folder with a folder for each word, or a CSV: path,word.
    """
    from collections import Counter

    if not place.exists():
        raise InputError(f"{place} is neither a folder nor a .csv file: give labelled pictures.")
    from mien.expressions import library
    from mien.images import unread

    for note in unread([place], below=True):
        tell(note)
    with progress_bar(quiet, unit="picture") as progress:
        made = library.build(place, progress=progress)
    words = Counter(entry.word for entry in made.usable)
    bad = [entry for entry in made.entries if entry.reason]
    index = str(made.root / library.INDEX)
    rejected = [{"path": entry.path, "reason": entry.reason} for entry in bad]
    lines = [f"{index}  {len(made.usable)} pictures of {len(words)} words"]
    lines += [f"  left out: {entry.path}: {entry.reason}" for entry in bad[:10]]
    if len(bad) > 10:
        lines.append(f"  and {len(bad) - 10} more, in --json")
    return {"index": index, "words": dict(words), "rejected": rejected}, lines


@app.command(short_help="The path of a picture of a word.")
def draw(
    place: Place,
    word: Annotated[str | None, Argument(metavar="WORD")] = None,
    how: str = "random",
    seed: Annotated[int, Option(min=0)] = 0,
    count: Annotated[int, Option("--count", "-n", min=1)] = 1,
    near: str | None = None,
) -> Told:
    """Print the path of a picture of a word, for instance for `mien generate`.

    Args:
        word: The word; without one, of all pictures.
        how: random (by --seed), typical, or nearest to --near.
        seed: Same seed, same picture.
        count: Pictures.
        near: A word, emoji or blendshapes; implies --how nearest.
    """
    choice(how, HOW, "way to draw")
    target, library = None, _read(place)
    if near is not None:
        from mien.expressions.faces import blendshapes
        from mien.expressions.spec import parse

        wanted = parse(near)
        if len(wanted.parts) != 1 or wanted.rest or wanted.picture is not None:
            raise InputError("--near takes one word, one emoji or blendshapes at full strength.")
        target, how = blendshapes(wanted.parts[0]), "nearest"
    if word is not None and (known := _word(word)) is None:
        raise InputError(f"{word} is none of the 135 words, which pictures are labelled by: name one.")
    drawn = library.draw(known if word else None, how, seed, count, target)  # type: ignore[arg-type]
    found = [{"path": str(library.root / entry.path), "word": entry.word} for entry in drawn]
    return found, [one["path"] for one in found]


@app.command(short_help="Pictures nearer to another cluster's word than to theirs.")
def mislabelled(place: Place, top: Annotated[int, Option(min=1)] = 50) -> Told:
    """Pictures that are nearer to a word of another cluster than to their own, most doubtful first.

    Args:
        top: At most so many.
    """
    library = _read(place)
    doubts = library.mislabelled()
    names = ("path", "word", "nearest", "to_word", "to_nearest", "ratio")
    lines = []
    for doubt in doubts[:top]:
        far = f"{doubt.to_word:.2f} from it, {doubt.to_nearest:.2f} from {doubt.nearest}"
        lines.append(f"{library.root / doubt.path}  labelled {doubt.word}: {far}")
    lines.append(f"{len(doubts)} of {len(library.usable)} pictures are nearer to a word of another cluster")
    return [{name: getattr(doubt, name) for name in names} for doubt in doubts[:top]], lines


def _check_cluster(cluster: str) -> None:
    from mien.expressions.labels import labels

    known = sorted({name for label in labels().values() for name in (label.cluster, label.basic)})
    choice(cluster, known, "cluster")


def _read(place: Path) -> Library:
    if not place.exists():
        raise InputError(f"{place} does not exist: make it by `mien expressions build`.")
    from mien.expressions.library import Library

    return Library.read(place)


def _listed(values: Sequence[tuple[str, float]]) -> str:
    """The first three."""
    return ", ".join(f"{name} {value:.2f}" for name, value in values[:3])


def _strongest(label: Label) -> list[tuple[str, float]]:
    from mien.face.blendshapes import NAMES

    pairs = sorted(zip(NAMES, label.prototype, strict=True), key=lambda pair: -pair[1])
    return [(name, float(value)) for name, value in pairs if value > 0]


def _pairs(label: Label) -> list[tuple[str, float]]:
    """The same with a shape's two even sides as one."""
    shapes = dict(_strongest(label))
    found = []
    for name, value in shapes.items():
        stem = name.removesuffix("Left").removesuffix("Right")
        if stem == name or shapes.get(f"{stem}Left") != shapes.get(f"{stem}Right"):
            found.append((name, value))
        elif name.endswith("Left"):
            found.append((stem, value))
    return found


def _record(label: Label) -> dict[str, Any]:
    return {
        "word": label.word,
        "emotion": label.basic,
        "cluster": label.cluster,
        "emoji": list(label.emoji),
        "why": label.why,
        "sources": list(label.sources),
        "action_units": dict(label.units),
        "blendshapes": dict(_strongest(label)),
    }
