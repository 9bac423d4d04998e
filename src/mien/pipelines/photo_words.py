"""What a word or blendshapes move, on the scale of the photo engine's coefficients."""

from __future__ import annotations

from mien.expressions.faces import blendshapes
from mien.expressions.reading import at_rest
from mien.expressions.spec import Part
from mien.face.blendshapes import INDEX
from mien.types import FloatArray

PUCKER, SNEER = 1.8, 5.0  # coefficients per blendshape that is named
GAPES, GAPING = 0.35, 0.55  # of a jaw that a word opens farther than the first, the second share is held back
BARED = 0.4  # of lips that a word draws off the teeth, where its jaw is open that far: together they make a square hole
HALF, CLOSED = 0.3, 0.8  # of a blink that a word names, from which it means shut eyes; of one that shuts them
FOLLOWS = 0.2  # of a gaze downwards, that a lid follows: `labels.json`, unit 64


def spoken(part: Part) -> FloatArray:
    """The movements [52] that a word or blendshapes ask for, on the coefficients' scale.

    Coefficients move faces as those in photographs do of which MediaPipe reads the blendshape. There a mouth that is
    fully puckered is not yet half of a kiss, and its corners hang; pressed lips are a smile's as often as not; what a
    word calls a sneer is heard as a raised lip; who is astonished does not gape as far as units have it; and lids that
    have fallen by more than half are shut, for slits show neither.
    """
    moves = blendshapes(part) - at_rest()
    pucker, jaw = moves[INDEX["mouthPucker"]], moves[INDEX["jawOpen"]]
    moves[INDEX["mouthPucker"]] *= PUCKER
    if part.word is not None:
        moves[INDEX["jawOpen"]] -= GAPING * max(jaw - GAPES, 0)
    for side in ("Left", "Right"):
        if part.word is not None:
            blink, down, squint = (INDEX[name + side] for name in ("eyeBlink", "eyeLookDown", "eyeSquint"))
            moves[squint] = max(moves[squint], 0)  # lids that fall name less than faces have at rest
            if moves[blink] - FOLLOWS * moves[down] > HALF:
                moves[blink] = max(moves[blink], CLOSED)
        press, dimple, frown, sneer, raised = (
            INDEX[name + side]
            for name in ("mouthPress", "mouthDimple", "mouthFrown", "noseSneer", "mouthUpperUp")
        )
        moves[frown] += 0.7 * max(moves[press] - 0.8 * moves[dimple], 0)  # `labels.json`, unit 14
        moves[dimple] += 0.9 * max(pucker, 0)
        if part.word is not None:
            for lip in (raised, INDEX["mouthLowerDown" + side]):
                moves[lip] *= 1 - BARED * min(max(jaw, 0) / GAPES, 1)
            moves[raised] -= 3.5 * moves[sneer]  # unit 9: the lip stays below the nose, and shut
            moves[sneer] *= SNEER
    return moves
